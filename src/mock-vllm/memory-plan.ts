/** How an engine divides the share of each GPU that it was given: context, weights, and the rest for the KV cache. */
import type { Gpu } from "./gpus.ts";
import { gibBytes } from "./quantity.ts";

/** Amounts per GPU, in bytes. */
export interface MemoryPlan {
  /** What the engine takes at once and keeps even while asleep: context, workspaces, graphs. */
  readonly residueBytes: number;
  /** This GPU's share of the weights. */
  readonly weightsBytes: number;
  /** The whole of `--gpu-memory-utilization`. */
  readonly budgetBytes: number;
  /** What is left for the KV cache; 0 or less means that the model does not fit. */
  readonly kvCacheBytes: number;
}

/** Plans one GPU. `utilization` is a fraction of the whole GPU; weights are spread evenly over `gpuCount` GPUs. */
export function planMemory(
  gpu: Gpu,
  wish: { weightsBytes: number; utilization: number; gpuCount: number; residueBytes: number | undefined },
): MemoryPlan {
  const residueBytes = wish.residueBytes ?? Math.min(gibBytes, Math.floor(gpu.totalBytes / 20));
  const weightsBytes = Math.ceil(wish.weightsBytes / wish.gpuCount);
  const budgetBytes = Math.floor(gpu.totalBytes * wish.utilization);
  return { residueBytes, weightsBytes, budgetBytes, kvCacheBytes: budgetBytes - residueBytes - weightsBytes };
}

/** The size of a model's weights in bytes, guessed from its name: 14B is 28 GB, half of that in FP8, a quarter in 4 bits. */
export function weightsBytesOf(model: string): number {
  const match = /(?<![a-z0-9.])(?:(\d+)x)?(\d+(?:\.\d+)?)b(?![a-z0-9])/i.exec(model);
  if (match === null) return gibBytes;
  const bytesPerParameter = /awq|gptq|int4|4bit|w4a16|nvfp4|mxfp4/i.test(model)
    ? 0.5
    : /fp8|int8|8bit|w8a8/i.test(model)
      ? 1
      : 2;
  return Math.round(Number(match[1] ?? 1) * Number(match[2]) * 1e9 * bytesPerParameter);
}
