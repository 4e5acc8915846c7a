/** Engines that are known only by their commands and addresses: what is written for them, with this life's port put in. No I/O. */
import type { CommandEngine, ExternalEngine, Order } from "../base/engine-settings.ts";
import { gpuVariables, type ControlManner, type ControlStep, type Engine, type EngineModel } from "./engine.ts";
import { isOfLlamaServer, llamaServer } from "./llama-server.ts";
import { sglang } from "./sglang.ts";
import { vllm } from "./vllm.ts";
import { saysOutOfMemory } from "./vllm-memory.ts";

/** Whatever it is, it may print what one of these prints. */
const KNOWN = [vllm([]), sglang([]), llamaServer([])];

/** An engine that is started by a command, or, being somebody else's, by nobody: then its plan has no command. */
export function customEngine(settings: CommandEngine | ExternalEngine): Engine {
  return {
    plan(model, port) {
      const put = (text: string): string => withPlaceholders(text, model, port);
      const words = (command: readonly string[]): readonly string[] => command.map(put);
      const isOurs = settings.kind === "command";
      return {
        command: isOurs ? words(settings.start).concat(model.extraArgs) : [],
        environment: isOurs ? { NO_COLOR: "1", ...gpuVariables(model.gpus), ...model.env } : {},
        origin: new URL(put(settings.url)).origin,
        health: orderWith(settings.health, put),
        stop:
          isOurs && settings.stop !== null
            ? { command: words(settings.stop), timeoutMs: settings.stopTimeoutMs }
            : null,
        control: controlOf(settings, put),
      };
    },
    parseProgress: (line) => first(KNOWN, (engine) => engine.parseProgress(line)),
    likelyCause: (lines) => (lines.some(isOfLlamaServer) ? llamaServer([]) : vllm([])).likelyCause(lines),
    outOfMemoryCause: (lines) => first(KNOWN, (engine) => engine.outOfMemoryCause(lines)),
  };
}

function controlOf({ sleep, wake }: CommandEngine | ExternalEngine, put: (text: string) => string): ControlManner {
  const steps = (order: Order | null, limit: ControlStep["limit"]): readonly ControlStep[] => {
    return order === null ? [] : [{ ...stepOf(orderWith(order, put)), limit, optional: false }];
  };
  return {
    sleepSteps: () => steps(sleep, "sleep"),
    wakeSteps: () => steps(wake, "wake"),
    isSleepingPath: null,
    saysOutOfMemory,
  };
}

function stepOf(
  order: Order,
): { readonly command: readonly string[] } | { readonly path: string; readonly json?: unknown } {
  if ("run" in order) return { command: order.run };
  return order.json === undefined ? { path: order.request } : { path: order.request, json: order.json };
}

function orderWith(order: Order, put: (text: string) => string): Order {
  return "run" in order ? { run: order.run.map(put) } : { ...order, request: put(order.request) };
}

function withPlaceholders(text: string, { name, modelPath, gpus }: EngineModel, port: number): string {
  const values: Readonly<Record<string, string>> = {
    PORT: String(port),
    MODEL: name,
    MODEL_PATH: modelPath,
    GPUS: (gpus ?? []).join(","),
  };
  return text.replaceAll(/\$\{([A-Z_]+)\}/g, (whole, placeholder: string) => values[placeholder] ?? whole);
}

function first<T, R>(all: readonly T[], ask: (one: T) => R | null): R | null {
  for (const one of all) {
    const answer = ask(one);
    if (answer !== null) return answer;
  }
  return null;
}
