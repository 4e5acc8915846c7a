/** Who holds how much of which simulated GPU. */
import type { GpuMemory } from "../../src/ports/gpu-probe.ts";
import type { Referee } from "./referee.ts";

/** Rule "GPU memory is never over-committed": what all processes hold of a GPU is never more than it has. */
export class GpuLedger {
  readonly #totalBytes: ReadonlyMap<string, number>;
  /** By GPU, then by pid. */
  readonly #held: ReadonlyMap<string, Map<number, number>>;
  readonly #referee: Referee;

  constructor(totalBytes: ReadonlyMap<string, number>, referee: Referee) {
    this.#totalBytes = totalBytes;
    this.#held = new Map(Array.from(totalBytes.keys(), (gpu) => [gpu, new Map()]));
    this.#referee = referee;
  }

  /** From now on the process holds this much of each of these GPUs; 0: nothing. */
  set(pid: number, gpus: readonly string[], bytes: number): void {
    for (const gpu of gpus) {
      const held = this.#held.get(gpu);
      if (held === undefined) throw new Error(`there is no GPU ${gpu}`);
      if (bytes === 0) held.delete(pid);
      else held.set(pid, bytes);
      const [used, total] = [sum(held.values()), this.#totalBytes.get(gpu) ?? 0];
      const what = (): string => `GPU ${gpu} has ${total} bytes, and ${used} are held: ${JSON.stringify([...held])}`;
      this.#referee.demand(used <= total, "GPU memory is never over-committed", what);
    }
  }

  usedBytesBy(pids: readonly number[]): number {
    let bytes = 0;
    for (const held of this.#held.values()) for (const pid of pids) bytes += held.get(pid) ?? 0;
    return bytes;
  }

  /** What these processes hold of each GPU that one of them uses. */
  sharesOf(pids: readonly number[]): readonly { readonly uuid: string; readonly usedBytes: number }[] {
    return Array.from(this.#held, ([gpu, held]) => ({
      uuid: `GPU-${gpu}`,
      usedBytes: sum(pids.map((pid) => held.get(pid) ?? 0)),
    })).filter(({ usedBytes }) => usedBytes > 0);
  }

  gpus(): readonly GpuMemory[] {
    return Array.from(this.#totalBytes, ([index, totalBytes]) => ({
      index,
      totalBytes,
      usedBytes: sum(this.#held.get(index)?.values() ?? []),
    }));
  }
}

function sum(values: Iterable<number>): number {
  let total = 0;
  for (const value of values) total += value;
  return total;
}
