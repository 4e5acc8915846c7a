/** What llama.cpp's `llama-server` wants and says: its command line, its environment, its output. It cannot sleep. No I/O. */
import {
  CANNOT_SLEEP,
  ENGINE_HOST,
  gpuVariables,
  namesFor,
  originOf,
  type Engine,
  type EngineModel,
} from "./engine.ts";
import { milestones } from "./milestones.ts";

/** llama-server, started by this program. */
export function llamaServer(program: readonly string[]): Engine {
  return {
    plan: (model, port) => ({
      command: llamaServerCommand(program, model, port),
      environment: { NO_COLOR: "1", ...gpuVariables(model.gpus), ...model.env },
      origin: originOf(port),
      // 503 "Loading model" until it can serve.
      health: { request: "/health" },
      stop: null,
      control: CANNOT_SLEEP,
    }),
    parseProgress,
    outOfMemoryCause,
    likelyCause,
  };
}

/** A model is a file, or the id of a repository at Hugging Face, which llama-server downloads by itself. */
function llamaServerCommand(program: readonly string[], model: EngineModel, port: number): readonly string[] {
  const { modelPath, extraArgs } = model;
  const isFile = /\.gguf$/i.test(modelPath) || /^[./~]/.test(modelPath);
  const namesItself = extraArgs.some((arg) => /^(?:--alias|-a)(=|$)/.test(arg));
  return [
    ...program,
    ...(isFile ? ["--model", modelPath] : ["--hf-repo", modelPath]),
    "--host",
    ENGINE_HOST,
    "--port",
    String(port),
    // It answers to any name; this is the one that it says.
    ...(namesItself ? [] : ["--alias", namesFor(model).join(",")]),
    ...extraArgs,
  ];
}

const parseProgress = milestones([
  { pattern: /\bllama_model_loader: loaded meta data/, stage: "loading weights" },
  { pattern: /\bload_model: loading model/, stage: "loading weights" },
  { pattern: /\bload_tensors:.*buffer size/, stage: "loading weights" },
  { pattern: /\bllama_context: constructing|\bllama_kv_cache/, stage: "reserving KV cache" },
  { pattern: /\bwarming up the model/, stage: "warming up" },
  { pattern: /\bmodel loaded\b|\blistening on http/, stage: "ready" },
]);

const TOO_LITTLE =
  /\b(?:cudaMalloc|hipMalloc) failed: out of memory|\bunable to allocate \S+ buffer|\bfailed to allocate (?:\S+ )?buffer\b.*|ErrorOutOfDeviceMemory/i;

function outOfMemoryCause(lines: readonly string[]): string | null {
  const said = lines.find((line) => TOO_LITTLE.test(line));
  return said === undefined ? null : withoutPrefix(said);
}

/** Time and level, which it puts before a line. */
const PREFIX = /^\d+(?:\.\d+){3} ([A-Z]) /;

/** Whether a line begins as llama-server's do. */
export function isOfLlamaServer(line: string): boolean {
  return PREFIX.test(line);
}

/** Its first error says what is wrong, and each further one what follows from that. */
function likelyCause(lines: readonly string[]): string {
  const error = lines.find((line) => PREFIX.exec(line)?.[1] === "E") ?? lines.find((line) => /\berror\b/i.test(line));
  return withoutPrefix(error ?? lines.findLast((line) => line.trim() !== "") ?? "");
}

function withoutPrefix(line: string): string {
  return line.replace(PREFIX, "").trim();
}
