/** Who holds how much of which simulated GPU. */
import type { GpuMemory } from "../../src/ports/gpu-probe.ts";
import type { Referee } from "./referee.ts";

/** A process that takes more. */
export interface Taking {
  readonly pid: number;
  readonly gpus: readonly string[];
  readonly bytes: number;
  /** How much others hold of that GPU of which llmux could not know yet. */
  readonly unknownBytes: (gpu: string) => number;
}

/**
 * Rule "GPU memory is never over-committed": nobody comes up where too little is left, as far as that can be known. Nobody gets
 * what is not there, either.
 */
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

  /** False, with nothing changed, where a GPU has not got so much. */
  take({ pid, gpus, bytes, unknownBytes }: Taking): boolean {
    let fits = true;
    for (const gpu of gpus) {
      const held = this.#heldOf(gpu);
      const [used, total] = [sum(held.values()) - (held.get(pid) ?? 0) + bytes, this.#totalBytes.get(gpu) ?? 0];
      if (used <= total) continue;
      fits = false;
      const what = (): string =>
        `GPU ${gpu} has ${total} bytes, and with ${bytes} of ${pid} it would be ${used}: ${JSON.stringify([...held])}`;
      this.#referee.demand(used - unknownBytes(gpu) <= total, "GPU memory is never over-committed", what);
    }
    if (fits) for (const gpu of gpus) this.#heldOf(gpu).set(pid, bytes);
    return fits;
  }

  /** From now on the process holds only this much of each of these GPUs, if it held more; 0: nothing. */
  giveBack(pid: number, gpus: readonly string[], bytes: number): void {
    for (const gpu of gpus) {
      const held = this.#heldOf(gpu);
      if (bytes === 0) held.delete(pid);
      else held.set(pid, Math.min(bytes, held.get(pid) ?? 0));
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
      usedBytes: sum(this.#heldOf(index).values()),
    }));
  }

  #heldOf(gpu: string): Map<number, number> {
    const held = this.#held.get(gpu);
    if (held === undefined) throw new Error(`there is no GPU ${gpu}`);
    return held;
  }
}

function sum(values: Iterable<number>): number {
  let total = 0;
  for (const value of values) total += value;
  return total;
}
