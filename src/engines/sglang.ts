/** What SGLang wants: its command line, its environment, and the calls that give its memory back and take it again. No I/O. */
import { ENGINE_HOST, gpuVariables, originOf, type ControlManner, type Engine, type EngineModel } from "./engine.ts";
import { outOfMemoryCause, saysOutOfMemory } from "./vllm-memory.ts";
import { likelyCause } from "./vllm-output.ts";
import { milestones } from "./milestones.ts";

/** SGLang, started by this program. */
export function sglang(program: readonly string[]): Engine {
  return {
    plan: (model, port) => ({
      command: sglangCommand(program, model, port),
      environment: {
        NO_COLOR: "1",
        // Else every look at its health makes it generate a token.
        SGLANG_ENABLE_HEALTH_ENDPOINT_GENERATION: "0",
        ...gpuVariables(model.gpus),
        ...model.env,
      },
      origin: originOf(port),
      health: { request: "/health" },
      stop: null,
      control: sglangControl,
    }),
    parseProgress,
    outOfMemoryCause,
    likelyCause,
  };
}

/** The whole command line. Without the backup in the host's memory a wake would find no weights. */
function sglangCommand(program: readonly string[], model: EngineModel, port: number): readonly string[] {
  const namesItself = model.extraArgs.some((arg) => /^--served-model-name(=|$)/.test(arg));
  return [
    ...program,
    "--model-path",
    model.modelPath,
    "--host",
    ENGINE_HOST,
    "--port",
    String(port),
    ...(namesItself ? [] : ["--served-model-name", model.upstreamModel ?? model.name]),
    ...(model.sleepModeFlag ? ["--enable-memory-saver", "--enable-weights-cpu-backup"] : []),
    ...model.extraArgs,
  ];
}

/** Weights first on the way up: the cache takes what they leave. */
const sglangControl: ControlManner = {
  // Told to release while a request runs it ends itself: what a drain has broken off may still be running there.
  sleepSteps: () => [
    { path: "/abort_request", json: { rid: "", abort_all: true }, limit: "sleep", optional: true },
    {
      path: "/release_memory_occupation",
      json: { tags: ["kv_cache", "weights"] },
      limit: "sleep",
      optional: false,
    },
  ],
  wakeSteps: () => [
    { path: "/resume_memory_occupation", json: { tags: ["weights"] }, limit: "wake", optional: false },
    { path: "/resume_memory_occupation", json: { tags: ["kv_cache"] }, limit: "wake", optional: false },
  ],
  isSleepingPath: null,
  saysOutOfMemory,
};

const parseProgress = milestones([
  { pattern: /server_args=/, stage: "starting" },
  { pattern: /Init torch distributed begin/, stage: "initializing" },
  { pattern: /\bloading (?:\w+ )*checkpoint shards(?: \(\w+\))?:\s+(\d+)%/i, stage: "loading weights" },
  { pattern: /Load weight begin/, stage: "loading weights" },
  { pattern: /Load weight end/, stage: "weights loaded" },
  { pattern: /KV Cache is allocated|Memory pool end/, stage: "reserving KV cache" },
  { pattern: /Capturing (?:batches|num tokens)[^:]*:\s+(\d+)%/i, stage: "capturing graphs" },
  { pattern: /Capture cuda graph begin/, stage: "capturing graphs" },
  { pattern: /Capture cuda graph end/, stage: "graphs captured" },
  { pattern: /The server is fired up and ready to roll/, stage: "ready" },
]);
