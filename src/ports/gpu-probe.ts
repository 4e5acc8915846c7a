/** What the GPUs themselves say of their memory, as a port. */

/** One GPU. */
export interface GpuMemory {
  readonly index: string;
  readonly totalBytes: number;
  readonly usedBytes: number;
}

/** What some processes hold of one GPU. */
export interface GpuShare {
  /** The GPU's own id, the same at every start of the machine. */
  readonly uuid: string;
  readonly usedBytes: number;
}

/**
 * Reads the GPUs. Every read answers null where there is no GPU to ask, never a made-up 0. Where a driver hides processes, they
 * seem to hold nothing.
 */
export interface GpuProbe {
  gpus(): Promise<readonly GpuMemory[] | null>;
  /** What these processes hold together, on all GPUs. */
  usedBytesBy(pids: readonly number[]): Promise<number | null>;
  /** What these processes hold together of each GPU that one of them uses. */
  sharesOf(pids: readonly number[]): Promise<readonly GpuShare[] | null>;
}
