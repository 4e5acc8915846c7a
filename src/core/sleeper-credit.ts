/** Which sleepers are worth the memory that they take: GreedyDual-Size (Cao and Irani, 1997), for one machine. */
import type { ModelRecord } from "./engines.ts";

/**
 * Each sleeper has a credit: the clock, plus what its sleep saves for each GiB it takes. The lowest goes first and sets the clock,
 * so that those who have not been wanted for long lose against those who have just gone to sleep.
 */
export class SleeperCredits {
  #clock = 0;

  /** `savedMs`: how much sooner it is awake than from where it would be otherwise; `bytes`: what that takes. */
  of(savedMs: number, bytes: number): number {
    return this.#clock + Math.max(0, savedMs) / Math.max(bytes / 1024 ** 3, MIN_GIB);
  }

  /** To be called when one is given up. */
  gone(record: ModelRecord): void {
    this.#clock = Math.max(this.#clock, record.credit);
  }
}

/** Whoever takes less counts as this, in GiB: one that takes nothing is not worth everything. */
const MIN_GIB = 0.125;
