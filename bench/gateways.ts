/** The gateways under measurement, each started as the program that users start, with two models that take turns. */
import { fileURLToPath } from "node:url";
import { Agent, request } from "undici";
import { until } from "../test/support/until.ts";
import type { BenchGround, StartedProcess } from "./bench-ground.ts";
import { freePorts } from "./bench-ground.ts";
import { ask, type Answer } from "./chat.ts";
import { forgetEngineEvents, readEngineEvents, type EngineEvent } from "./engine-events.ts";

const LLMUX = fileURLToPath(new URL("../bin/llmux.js", import.meta.url));

/** The two models that every benchmark has. */
export const MODELS = ["alder", "birch"] as const;
export type BenchModel = (typeof MODELS)[number];

/** The other one of the two. */
export function otherThan(model: BenchModel): BenchModel {
  return model === "alder" ? "birch" : "alder";
}

/** A gateway that runs, with its engines' ports. Whoever starts it ends it. */
export interface Gateway {
  readonly name: string;
  readonly origin: string;
  readonly process: StartedProcess;
  /** Keeps its connections to the gateway. */
  readonly dispatcher: Agent;
  readonly enginePorts: Readonly<Record<BenchModel, number>>;
}

const WARM_UP_ROUNDS = 5;

/** Switches as soon as they are wanted. */
const EAGER = { policy_type: "fifo", min_active_secs: 0, request_timeout_secs: 60 };

/** Where to find llmux 0.3.0, the Rust program of the same name; null when nobody said. */
export function peerProgram(): string | null {
  return process.env["LLMUX_030"] ?? null;
}

/** What is said where the comparison is left out. */
export const NO_PEER =
  "llmux 0.3.0 is not compared: set LLMUX_030 to its program (cargo install llmux@0.3.0 --root DIR, then DIR/bin/llmux).";

/** Starts this llmux and waits until it answers `/health`. */
export async function startLlmux(ground: BenchGround, sleepLevel: 1 | 2 | 3): Promise<Gateway> {
  const { gatewayPort, enginePorts } = await ports();
  const config = ground.write("llmux.json", JSON.stringify(llmuxConfig(ground, gatewayPort, enginePorts, sleepLevel)));
  const started = ground.start("llmux", llmuxCommand(config));
  return ready({ name: "llmux", gatewayPort, enginePorts, started });
}

/** The command line of this llmux. */
export function llmuxCommand(config: string): readonly [string, ...string[]] {
  return [process.execPath, LLMUX, "serve", "--config", config];
}

/** A configuration of this llmux without metrics, and with switches as soon as they are wanted. */
export function llmuxConfig(
  ground: BenchGround,
  port: number,
  enginePorts: Readonly<Record<BenchModel, number>>,
  sleepLevel: 1 | 2 | 3,
): unknown {
  return { ...llmuxBasics(ground, port), policy: EAGER, models: modelEntries(enginePorts, sleepLevel, []) };
}

/** What every configuration of this llmux has, with the stand-in engine; its policy and models are still to come. */
export function llmuxBasics(ground: BenchGround, port: number): Readonly<Record<string, unknown>> {
  return {
    host: "127.0.0.1",
    port,
    metrics_port: 0,
    vllm_command: ground.engineProgram,
    nvidia_smi_command: "false",
    state_dir: `${ground.folder}/state`,
  };
}

/** Starts llmux 0.3.0 and waits until it answers anything. */
export async function startPeer(ground: BenchGround, program: string, sleepLevel: 1 | 2 | 3): Promise<Gateway> {
  const { gatewayPort, enginePorts } = await ports();
  const config = ground.write("peer.json", JSON.stringify(peerConfig(ground, gatewayPort, enginePorts, sleepLevel)));
  const started = ground.start("peer", [program, "--config", config]);
  return ready({ name: "llmux 0.3.0", gatewayPort, enginePorts, started });
}

/** The same for llmux 0.3.0. It puts no `--host` on an engine's command line. */
export function peerConfig(
  ground: BenchGround,
  port: number,
  enginePorts: Readonly<Record<BenchModel, number>>,
  sleepLevel: 1 | 2 | 3,
): unknown {
  return {
    port,
    metrics_port: 0,
    vllm_command: ground.engineProgram,
    policy: { ...EAGER, drain_before_switch: true },
    models: modelEntries(enginePorts, sleepLevel, ["--host", "127.0.0.1"]),
  };
}

/** Ports for one gateway and its engines. */
export async function ports(): Promise<{ gatewayPort: number; enginePorts: Readonly<Record<BenchModel, number>> }> {
  const [gatewayPort = 0, alder = 0, birch = 0] = await freePorts(3);
  return { gatewayPort, enginePorts: { alder, birch } };
}

/** What both engines remember, in the order of time. */
export async function eventsOf(gateway: Gateway): Promise<readonly EngineEvent[]> {
  const perEngine = await Promise.all(MODELS.map((model) => readEngineEvents(model, gateway.enginePorts[model])));
  return perEngine.flat().sort((a, b) => a.atMs - b.atMs);
}

/** Has both engines forget what they remember; nothing may be under way. */
export async function forgetEvents(gateway: Gateway): Promise<void> {
  await Promise.all(MODELS.map((model) => forgetEngineEvents(gateway.enginePorts[model])));
}

/** Has the models answer in turn, so that both engines run and their code is warm. */
export async function warmUp(gateway: Gateway): Promise<void> {
  for (let round = 0; round < WARM_UP_ROUNDS; round += 1) for (const model of MODELS) await askOnce(gateway, model);
}

/** One whole answer. Rejects, with the gateway's last words, when there is none. */
export async function askOnce(gateway: Gateway, model: BenchModel): Promise<Answer> {
  try {
    return await ask(gateway.dispatcher, gateway.origin, model, false).answered;
  } catch (error) {
    throw new Error(
      `${gateway.name} did not answer; its output ends with:\n${gateway.process.output().slice(-2_000)}`,
      {
        cause: error,
      },
    );
  }
}

/** Ends the gateway and closes the connections to it. */
export async function endGateway(gateway: Gateway): Promise<void> {
  await gateway.dispatcher.close();
  await gateway.process.end();
}

async function ready(parts: {
  readonly name: string;
  readonly gatewayPort: number;
  readonly enginePorts: Readonly<Record<BenchModel, number>>;
  readonly started: StartedProcess;
}): Promise<Gateway> {
  const { name, gatewayPort, enginePorts, started } = parts;
  const origin = `http://127.0.0.1:${gatewayPort}`;
  await untilAnswers(name, started, origin);
  const dispatcher = new Agent({ headersTimeout: 0, bodyTimeout: 0 });
  return { name, origin, process: started, dispatcher, enginePorts };
}

/** Waits until anything answers there; rejects, with the program's last words, when it has ended. */
export async function untilAnswers(name: string, started: StartedProcess, origin: string): Promise<void> {
  await until(`${name} answers`, () => {
    if (started.hasEnded()) throw new Error(`${name} has ended:\n${started.output().slice(-2_000)}`);
    return answersAt(origin);
  });
}

/** Whether anything answers there; its status does not matter, as 0.3.0 has no `/health` of its own. */
async function answersAt(origin: string): Promise<boolean> {
  try {
    const answer = await request(`${origin}/health`);
    await answer.body.dump();
    return true;
  } catch {
    return false;
  }
}

function modelEntries(
  enginePorts: Readonly<Record<BenchModel, number>>,
  sleepLevel: 1 | 2 | 3,
  extraArgs: readonly string[],
): unknown {
  const entries = MODELS.map((model) => [
    model,
    {
      model_path: `bench/${model}-1B`,
      port: enginePorts[model],
      sleep_level: sleepLevel,
      extra_args: ["--gpu-memory-utilization", "0.8", "--disable-uvicorn-access-log", ...extraArgs],
    },
  ]);
  return Object.fromEntries(entries);
}
