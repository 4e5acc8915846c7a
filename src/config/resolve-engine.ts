/** From what the file says of a model's engine to the settings that it is run with. */

import type { EngineSettings, Order } from "../base/engine-settings.ts";
import { splitCommandLine } from "./command-line.ts";
import type { ConfigFile } from "./schema.ts";
import { whyNoSleep } from "./sleep-ability.ts";

type EngineInFile = ConfigFile["models"][string]["engine"];
type OrderInFile = NonNullable<NonNullable<Exclude<EngineInFile, string>["external"]>["sleep"]>;

/** The settings; what is wrong in them is said by `engineChoiceFindings`. */
export function resolveEngine(engine: EngineInFile): EngineSettings {
  if (typeof engine === "string") return { kind: engine };
  const { command, external } = engine;
  if (command !== undefined) {
    return {
      kind: "command",
      start: wordsOf(command.start),
      stop: command.stop === null ? null : wordsOf(command.stop),
      stopTimeoutMs: command.stop_timeout_secs,
      url: command.url,
      health: orderOf(command.health),
      sleep: command.sleep === null ? null : orderOf(command.sleep),
      wake: command.wake === null ? null : orderOf(command.wake),
    };
  }
  if (external === undefined) return { kind: "vllm" };
  return {
    kind: "external",
    url: external.url,
    health: orderOf(external.health),
    apiKeyVariable: external.api_key_env,
    sleep: external.sleep === null ? null : orderOf(external.sleep),
    wake: external.wake === null ? null : orderOf(external.wake),
  };
}

/** How deep the engine can sleep: null for any level. What has one way of sleeping sleeps that way at 1 and at 2. */
export function onlySleepLevel(engine: EngineSettings, sleepModeFlag: boolean): 3 | null {
  const hasOrders = "sleep" in engine && engine.sleep !== null && engine.wake !== null;
  return whyNoSleep({ kind: engine.kind, sleepModeFlag, hasOrders }) === null ? null : 3;
}

/** A text is a request if it is a path or a URL, and else a command. */
function orderOf(order: OrderInFile): Order {
  if (typeof order === "string") {
    return /^(?:\/|https?:\/\/)\S*$/.test(order) ? { request: order } : { run: wordsOf(order) };
  }
  if (Array.isArray(order)) return { run: order };
  const { post, json } = order as { readonly post: string; readonly json?: unknown };
  return json === undefined ? { request: post } : { request: post, json };
}

function wordsOf(command: string | readonly string[]): readonly string[] {
  return typeof command === "string" ? (splitCommandLine(command) ?? []) : command;
}
