/** When the tokens of running requests are due: as in an engine whose speed all of them share. */
import { Batch, type BatchSpeed } from "./batch.ts";
import type { Job } from "./job.ts";
import type { Tempo } from "./tempo.ts";

/** A batch in real time. */
export class SharedTempo implements Tempo {
  readonly #batch: Batch<Job>;
  /** With the number of the token that each waits for. */
  readonly #jobs = new Map<Job, number>();
  #timer: NodeJS.Timeout | undefined;

  constructor(speed: BatchSpeed) {
    this.#batch = new Batch(speed, performance.now());
  }

  join(job: Job): void {
    this.#jobs.set(job, 0);
    this.#batch.join(job, job, performance.now());
    this.#rearm();
  }

  async untilDue(job: Job, at: number): Promise<void> {
    this.#jobs.set(job, at);
    while (job.ending === undefined && this.#batch.tokensOut(job) <= at) await job.rest(undefined);
  }

  leave(job: Job): void {
    if (!this.#jobs.delete(job)) return;
    this.#batch.leave(job, performance.now());
    this.#rearm();
  }

  freeze(): void {
    this.#batch.freeze(performance.now());
    this.#rearm();
  }

  thaw(): void {
    this.#batch.thaw(performance.now());
    this.#rearm();
  }

  /** One timer for the next token of anybody. */
  #rearm(): void {
    clearTimeout(this.#timer);
    const dueMs = this.#batch.nextDueMs();
    if (dueMs === Infinity) return;
    this.#timer = setTimeout(() => this.#tick(), Math.max(0, dueMs - performance.now()));
  }

  #tick(): void {
    this.#batch.advance(performance.now());
    for (const [job, at] of this.#jobs) if (this.#batch.tokensOut(job) > at) job.poke();
    this.#rearm();
  }
}
