/** What vLLM wants: its command line, its environment, and the calls that put it to sleep and wake it. No I/O. */
import type { LiveSleepLevel } from "../core/sleep-level.ts";
import {
  ENGINE_HOST,
  gpuVariables,
  namesFor,
  originOf,
  type ControlManner,
  type Engine,
  type EngineModel,
  type HttpStep,
} from "./engine.ts";
import { outOfMemoryCause, saysOutOfMemory } from "./vllm-memory.ts";
import { likelyCause, parseProgress } from "./vllm-output.ts";

/** vLLM, started by this program. */
export function vllm(program: readonly string[]): Engine {
  return {
    plan: (model, port) => ({
      command: vllmCommand(program, model, port),
      environment: vllmEnvironment(model),
      origin: originOf(port),
      health: { request: HEALTH_PATH },
      stop: null,
      control: vllmControl,
    }),
    parseProgress,
    outOfMemoryCause,
    likelyCause,
  };
}

/** The whole command line. The engine is told to answer to the names that requests carry. */
export function vllmCommand(program: readonly string[], model: EngineModel, port: number): readonly string[] {
  const namesItself = model.extraArgs.some((arg) => /^--served[-_]model[-_]name(=|$)/.test(arg));
  return [
    ...program,
    "serve",
    model.modelPath,
    "--host",
    ENGINE_HOST,
    "--port",
    String(port),
    ...(namesItself ? [] : ["--served-model-name", ...namesFor(model)]),
    ...(model.sleepModeFlag ? ["--enable-sleep-mode"] : []),
    ...model.extraArgs,
  ];
}

/** What is added to the environment that llmux itself has; the model's own `env` wins. */
export function vllmEnvironment(model: EngineModel): Readonly<Record<string, string>> {
  return {
    // Without it the sleep routes do not exist.
    VLLM_SERVER_DEV_MODE: "1",
    NO_COLOR: "1",
    ...gpuVariables(model.gpus),
    ...model.env,
  };
}

/**
 * Puts an engine to sleep: an idle one, or, with "kept", one whose requests are to stand still and to go on after the wake.
 * Level and mode are query parameters: vLLM ignores a JSON body here.
 */
export function sleepSteps(level: LiveSleepLevel, running: "none" | "kept"): readonly HttpStep[] {
  const mode = running === "kept" ? "&mode=keep" : "";
  return [{ path: `/sleep?level=${level}${mode}`, limit: "sleep", optional: false }];
}

/**
 * Wakes an engine. From level 2 the weights must be back before anything is scheduled on them: memory first, then the
 * reload, then the KV cache, which is what lets requests run again; what the prefix cache still knows is of no use then.
 */
export function wakeSteps(from: LiveSleepLevel): readonly HttpStep[] {
  if (from === 1) return [{ path: "/wake_up", limit: "wake", optional: false }];
  return [
    { path: "/wake_up?tags=weights", limit: "wake", optional: false },
    { path: "/collective_rpc", json: { method: "reload_weights" }, limit: "reload", optional: false },
    { path: "/wake_up?tags=kv_cache", limit: "wake", optional: false },
    { path: "/reset_prefix_cache", limit: "wake", optional: true },
  ];
}

/** Answers 200 as soon as the engine can serve. */
export const HEALTH_PATH = "/health";

/** Answers `{"is_sleeping": boolean}`. */
export const IS_SLEEPING_PATH = "/is_sleeping";

/**
 * Whether the answer to a wake says that all of the engine is awake, as `{"status":"awake",…}` does (seen with vLLM 0.32).
 * Older versions answer with nothing.
 */
export function saysAwake(body: string): boolean {
  return /"status"\s*:\s*"awake"/.test(body);
}

/** Null when the answer is not one. */
export function parseIsSleeping(body: string): boolean | null {
  return /"is_sleeping"\s*:\s*(true|false)/.exec(body)?.[1]?.startsWith("t") ?? null;
}

/** How vLLM is put to sleep and woken. */
export const vllmControl: ControlManner = {
  sleepSteps,
  wakeSteps,
  isSleepingPath: IS_SLEEPING_PATH,
  saysOutOfMemory,
};
