/** What the GPUs themselves say of their memory, as a port. */

/** One GPU. */
export interface GpuMemory {
  readonly index: string;
  readonly totalBytes: number;
  readonly usedBytes: number;
}

/** Reads the GPUs. Both reads answer null where there is no GPU to ask, never a made-up 0. */
export interface GpuProbe {
  gpus(): Promise<readonly GpuMemory[] | null>;
  /** What these processes hold together, on all GPUs. */
  usedBytesBy(pids: readonly number[]): Promise<number | null>;
}
