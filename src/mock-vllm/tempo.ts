/** When the tokens of running requests are due: each request for itself, whatever else runs. */
import type { Job } from "./job.ts";

/** The clock of an engine's decoding. A frozen engine stands still, and prefills what it kept again when it goes on. */
export interface Tempo {
  /** The job begins to run. */
  join(job: Job): void;
  /** Resolves when the job's token number `at`, from 0, is due, or when the job has been ended. To be asked in order. */
  untilDue(job: Job, at: number): Promise<void>;
  /** The job is over, or was ended. */
  leave(job: Job): void;
  freeze(): void;
  thaw(): void;
}

/** The same time to the first token and between tokens for every request, in ms. */
export class SteadyTempo implements Tempo {
  readonly #ttftMs: number;
  readonly #itlMs: number;
  readonly #jobs = new Set<Job>();
  #isFrozen = false;

  constructor({ ttftMs, itlMs }: { ttftMs: number; itlMs: number }) {
    this.#ttftMs = ttftMs;
    this.#itlMs = itlMs;
  }

  join(job: Job): void {
    this.#jobs.add(job);
  }

  async untilDue(job: Job, at: number): Promise<void> {
    const ms = at === 0 ? this.#ttftMs : this.#itlMs;
    const until = performance.now() + ms;
    let leftMs = ms;
    do {
      await job.rest(leftMs);
      while (this.#isFrozen && job.ending === undefined) {
        await job.rest(undefined);
        if (!this.#isFrozen) await job.rest(this.#ttftMs);
      }
      leftMs = Math.max(0, until - performance.now());
    } while (leftMs > 1 && job.ending === undefined);
  }

  leave(job: Job): void {
    this.#jobs.delete(job);
  }

  freeze(): void {
    this.#isFrozen = true;
  }

  thaw(): void {
    this.#isFrozen = false;
    for (const job of this.#jobs) job.poke();
  }
}
