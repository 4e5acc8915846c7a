/**
 * The scheduler of one engine: which requests run, which wait, and the pauses between their tokens.
 *
 *   waiting --a place is free and not paused--> running --last token--> ended
 *   waiting or running --abort, the client gone, the engine dead--> ended
 *   running --paused with "keep"--> frozen, on the same connection --resumed--> running, after a new prefill
 */
import { EngineDeadError } from "./engine-link.ts";

/** Why an answer ended. */
export type FinishReason = "stop" | "length" | "abort";

/** What happens to running requests when the scheduler is paused. */
export type PauseMode = "abort" | "wait" | "keep";

/** What ends a job before its time. */
type Ending = "abort" | "client gone" | "engine dead";

interface Options {
  readonly maxRunning: number;
  readonly ttftMs: number;
  readonly itlMs: number;
  /** Called when a job begins to run; false if that kills the engine. */
  readonly onStart: () => boolean;
}

/** Thrown out of a job whose client has gone away. */
export class ClientGoneError extends Error {
  override readonly name = "ClientGoneError";
}

class Job {
  ending: Ending | undefined;
  isRunning = false;
  #wakeUp: (() => void) | undefined;

  /** Waits until `ms` have passed or the job is poked; undefined waits for the poke alone. */
  async rest(ms: number | undefined): Promise<void> {
    if (this.ending !== undefined) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#wakeUp = resolve;
    const timer = ms === undefined || ms === 0 ? undefined : setTimeout(resolve, ms);
    const immediate = ms === 0 ? setImmediate(resolve) : undefined;
    await promise;
    clearTimeout(timer);
    clearImmediate(immediate);
    this.#wakeUp = undefined;
  }

  poke(): void {
    this.#wakeUp?.();
  }

  end(ending: Ending): void {
    this.ending ??= ending;
    this.poke();
  }
}

/** Runs answers token by token, up to `maxRunning` at a time. */
export class Decoder {
  readonly #options: Options;
  readonly #running = new Set<Job>();
  readonly #waiting: Job[] = [];
  #isPaused = false;
  #isFrozen = false;
  #isDead = false;
  #onIdle: (() => void)[] = [];

  constructor(options: Options) {
    this.#options = options;
  }

  get running(): number {
    return this.#running.size;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  get isPaused(): boolean {
    return this.#isPaused;
  }

  /**
   * Yields `count` times, once per token, in time with the engine, and returns the reason of the end: "abort" when it was
   * paused away, else `undefined`. Throws `ClientGoneError` once `gone` is signalled, `EngineDeadError` when the engine dies.
   */
  async *run(count: number, gone: AbortSignal): AsyncGenerator<number, "abort" | undefined> {
    if (this.#isDead) throw new EngineDeadError();
    const job = new Job();
    const onGone = (): void => job.end("client gone");
    gone.addEventListener("abort", onGone);
    if (gone.aborted) onGone();
    try {
      this.#waiting.push(job);
      this.#admit();
      while (!job.isRunning && job.ending === undefined) await job.rest(undefined);
      await this.#restUnfrozen(job, this.#options.ttftMs);
      // One look beyond the last token, so that an answer of no tokens can be aborted too.
      for (let at = 0; at <= count; at += 1) {
        if (at > 0 && at < count) await this.#restUnfrozen(job, this.#options.itlMs);
        if (job.ending === "abort") return "abort";
        this.#throwIfEnded(job);
        if (at < count) yield at;
      }
      return undefined;
    } finally {
      gone.removeEventListener("abort", onGone);
      this.#leave(job);
    }
  }

  /** Stops admitting. "abort" ends all there is, "wait" resolves when nothing runs any more, "keep" freezes what runs. */
  async pause(mode: PauseMode): Promise<void> {
    this.#isPaused = true;
    if (mode === "abort") this.#endAll("abort");
    if (mode !== "keep" && this.#running.size > 0) {
      await new Promise<void>((resolve) => this.#onIdle.push(resolve));
    }
    this.#isFrozen = mode === "keep";
  }

  /** Goes on after `pause`. */
  resume(): void {
    this.#isPaused = false;
    this.#isFrozen = false;
    for (const job of this.#running) job.poke();
    this.#admit();
  }

  /** Ends everything with `EngineDeadError`, now and for good. */
  fail(): void {
    this.#isDead = true;
    this.#endAll("engine dead");
  }

  #endAll(ending: Ending): void {
    for (const job of [...this.#running, ...this.#waiting]) {
      job.end(ending);
      // At once, and not when its reader comes by: a slow client must not hold up a pause.
      this.#leave(job);
    }
  }

  /** Rests for `ms`; a job that was frozen meanwhile rests until it may go on, and then prefills again. */
  async #restUnfrozen(job: Job, ms: number): Promise<void> {
    const until = performance.now() + ms;
    let leftMs = ms;
    do {
      await job.rest(leftMs);
      while (this.#isFrozen && job.ending === undefined) {
        await job.rest(undefined);
        if (!this.#isFrozen) await job.rest(this.#options.ttftMs);
      }
      leftMs = Math.max(0, until - performance.now());
    } while (leftMs > 1 && job.ending === undefined);
  }

  #throwIfEnded(job: Job): void {
    if (job.ending === "client gone") throw new ClientGoneError();
    if (job.ending === "engine dead") throw new EngineDeadError();
  }

  #admit(): void {
    while (!this.#isPaused && this.#running.size < this.#options.maxRunning) {
      const job = this.#waiting.shift();
      if (job === undefined) return;
      if (!this.#options.onStart()) job.end("engine dead");
      job.isRunning = true;
      this.#running.add(job);
      job.poke();
    }
  }

  #leave(job: Job): void {
    this.#running.delete(job);
    const at = this.#waiting.indexOf(job);
    if (at !== -1) this.#waiting.splice(at, 1);
    if (this.#running.size === 0) {
      for (const resolve of this.#onIdle) resolve();
      this.#onIdle = [];
    }
    this.#admit();
  }
}
