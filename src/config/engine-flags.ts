/** What the flags in `extra_args` say, read as vLLM reads them: `--a-b=1`, `--a-b 1`, `--a_b 1`; of several the last one counts. */

import type { EngineKind } from "../base/engine-settings.ts";

/** Short forms of the flags that are read here; what two engines call the same means the same. */
const longForms: ReadonlyMap<string, string> = new Map([
  ["-np", "--parallel"],
  ["-tp", "--tensor-parallel-size"],
  ["-pp", "--pipeline-parallel-size"],
  ["-dp", "--data-parallel-size"],
  ["--tp", "--tp-size"],
  ["--pp", "--pp-size"],
  ["--dp", "--dp-size"],
  ["-dpl", "--data-parallel-size-local"],
]);

/** No engine spreads over more GPUs than this; what says otherwise is a mistake that the engine will refuse. */
const parallelSizeMax = 1024;

/** The flag of an argument, long and in the spelling with hyphens: `--served_model_name=x` is `--served-model-name`. */
export function flagOf(argument: string): string | undefined {
  const written = /^--?[^=]+/.exec(argument)?.[0];
  if (written === undefined) return undefined;
  return longForms.get(written) ?? (written.startsWith("--") ? written.replaceAll("_", "-") : undefined);
}

/** How many requests the engine runs at once; null if nothing sensible is said. */
export function maxNumSeqsIn(extraArgs: readonly string[]): number | null {
  return countIn(extraArgs, "--max-num-seqs", 9_999_999);
}

/** The same of any engine, as its flags say; null where they do not, and nothing is known of what it does then. */
export function requestsAtOnceIn(kind: EngineKind, extraArgs: readonly string[]): number | null {
  if (kind === "sglang") return countIn(extraArgs, "--max-running-requests", 9_999_999);
  if (kind !== "llama-server") return maxNumSeqsIn(extraArgs);
  return countIn(extraArgs, "--parallel", 9_999_999) ?? LLAMA_SERVER_SLOTS;
}

/** What llama-server runs at once unless it is told otherwise (seen with build 11434). */
const LLAMA_SERVER_SLOTS = 4;

/** How many GPUs an engine takes at once; null for one that uses whichever it is shown. */
export function gpusAtOnceIn(kind: EngineKind, extraArgs: readonly string[]): number | null {
  if (kind === "vllm") return parallelSizeIn(extraArgs);
  if (kind !== "sglang") return null;
  const size = (flag: string): number => countIn(extraArgs, flag, parallelSizeMax) ?? 1;
  const tensor = countIn(extraArgs, "--tp-size", parallelSizeMax) ?? size("--tensor-parallel-size");
  const pipeline = countIn(extraArgs, "--pp-size", parallelSizeMax) ?? size("--pipeline-parallel-size");
  const replicas = countIn(extraArgs, "--dp-size", parallelSizeMax) ?? size("--data-parallel-size");
  // With attention spread over them the replicas share the GPUs.
  const spreads = extraArgs.some((argument) => flagOf(argument) === "--enable-dp-attention");
  return tensor * pipeline * (spreads ? 1 : replicas);
}

/** The share of each GPU that the engine is told to take, above 0 up to 1; null if nothing sensible is said. */
export function gpuMemoryUtilizationIn(extraArgs: readonly string[]): number | null {
  const text = valueIn(extraArgs, "--gpu-memory-utilization");
  const share = text === undefined || text.trim() === "" ? Number.NaN : Number(text);
  return share > 0 && share <= 1 ? share : null;
}

/** How many GPUs the engine takes at once: tensor × pipeline × data parallelism on this machine; 1 unless something else is said. */
export function parallelSizeIn(extraArgs: readonly string[]): number {
  const size = (flag: string): number | null => countIn(extraArgs, flag, parallelSizeMax);
  const replicas = size("--data-parallel-size-local") ?? size("--data-parallel-size") ?? 1;
  return (size("--tensor-parallel-size") ?? 1) * (size("--pipeline-parallel-size") ?? 1) * replicas;
}

/** The whole number from 1 on that a flag is given. */
function countIn(extraArgs: readonly string[], flag: string, max: number): number | null {
  const text = valueIn(extraArgs, flag) ?? "";
  const count = /^\d{1,7}$/.test(text) ? Number(text) : 0;
  return count >= 1 && count <= max ? count : null;
}

function valueIn(extraArgs: readonly string[], flag: string): string | undefined {
  const index = extraArgs.findLastIndex((argument) => flagOf(argument) === flag);
  if (index === -1) return undefined;
  return /=(.*)$/s.exec(extraArgs[index] ?? "")?.[1] ?? extraArgs[index + 1];
}
