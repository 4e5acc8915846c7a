/** The pretend GPUs of a machine: how they are written down and which of them a process may see. */
import { formatBytes, gibBytes, parseBytes } from "./quantity.ts";
import { UsageError } from "./usage-error.ts";

/** One pretend GPU. */
export interface Gpu {
  readonly index: number;
  readonly totalBytes: number;
}

/** What a machine has when nothing else is said: one GPU of 24 GiB. */
export const defaultGpus: readonly Gpu[] = [{ index: 0, totalBytes: 24 * gibBytes }];

/** Reads `0:24GiB,1:24GiB`; throws `UsageError` for anything else. */
export function parseGpus(text: string): readonly Gpu[] {
  const gpus = text.split(",").map((part) => {
    const match = /^\s*(\d+)\s*:(.+)$/.exec(part);
    if (match === null) {
      throw new UsageError(`MOCK_VLLM_GPUS: expected a list such as 0:24GiB,1:24GiB, found "${text}"`);
    }
    return { index: Number(match[1]), totalBytes: parseBytes(match[2] ?? "", "MOCK_VLLM_GPUS") };
  });
  if (new Set(gpus.map((gpu) => gpu.index)).size !== gpus.length) {
    throw new UsageError(`MOCK_VLLM_GPUS: expected every GPU once, found "${text}"`);
  }
  return gpus.toSorted((a, b) => a.index - b.index);
}

/** The inverse of `parseGpus`. */
export function formatGpus(gpus: readonly Gpu[]): string {
  return gpus.map((gpu) => `${gpu.index}:${formatBytes(gpu.totalBytes)}`).join(",");
}

/** The UUID nvidia-smi shows for a pretend GPU; the same index always has the same one. */
export function gpuUuid(index: number): string {
  return `GPU-00000000-0000-4000-8000-${index.toString(16).padStart(12, "0")}`;
}

/** The GPUs that CUDA_VISIBLE_DEVICES (indices or UUIDs; undefined means all) lets a process see, in that order. */
export function visibleGpus(gpus: readonly Gpu[], visibleDevices: string | undefined): readonly Gpu[] {
  if (visibleDevices === undefined) return gpus;
  const seen: Gpu[] = [];
  for (const name of visibleDevices.split(",").map((part) => part.trim())) {
    const gpu = gpus.find((one) => String(one.index) === name || gpuUuid(one.index) === name);
    // CUDA stops at the first device it does not know, and so do we.
    if (gpu === undefined) break;
    if (!seen.includes(gpu)) seen.push(gpu);
  }
  return seen;
}
