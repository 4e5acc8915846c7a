/**
 * The scheduler of one engine: which requests run, which wait, and the pauses between their tokens.
 *
 *   waiting --a place is free and not paused--> running --last token--> ended
 *   waiting or running --abort, the client gone, the engine dead--> ended
 *   running --paused with "keep"--> frozen, on the same connection --resumed--> running, after a new prefill
 *
 * When the tokens of those that run are due is the tempo's to say.
 */
import { EngineDeadError } from "./engine-link.ts";
import { Job, type Ending } from "./job.ts";
import type { Tempo } from "./tempo.ts";

/** Why an answer ended. */
export type FinishReason = "stop" | "length" | "abort";

/** What happens to running requests when the scheduler is paused. */
export type PauseMode = "abort" | "wait" | "keep";

interface Options {
  readonly maxRunning: number;
  readonly tempo: Tempo;
  /** Called when a job begins to run; false if that kills the engine. */
  readonly onStart: () => boolean;
}

/** Thrown out of a job whose client has gone away. */
export class ClientGoneError extends Error {
  override readonly name = "ClientGoneError";
}

/** Runs answers token by token, up to `maxRunning` at a time. */
export class Decoder {
  readonly #options: Options;
  readonly #running = new Set<Job>();
  readonly #waiting: Job[] = [];
  #isPaused = false;
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
   * paused away, else `undefined`. `promptTokens` is how long the prompt is. Throws `ClientGoneError` once `gone` is signalled, `EngineDeadError` when the engine dies.
   */
  async *run(count: number, gone: AbortSignal, promptTokens: number = 0): AsyncGenerator<number, "abort" | undefined> {
    if (this.#isDead) throw new EngineDeadError();
    const { tempo } = this.#options;
    const job = new Job(promptTokens, count);
    const onGone = (): void => job.end("client gone");
    gone.addEventListener("abort", onGone);
    if (gone.aborted) onGone();
    try {
      this.#waiting.push(job);
      this.#admit();
      while (!job.isRunning && job.ending === undefined) await job.rest(undefined);
      // One look beyond the last token, so that an answer of no tokens can be aborted too.
      for (let at = 0; at <= count; at += 1) {
        if (at < Math.max(count, 1)) await tempo.untilDue(job, at);
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
    if (mode === "keep") this.#options.tempo.freeze();
    else this.#options.tempo.thaw();
  }

  /** Goes on after `pause`. */
  resume(): void {
    this.#isPaused = false;
    this.#options.tempo.thaw();
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
      this.#options.tempo.join(job);
      job.poke();
    }
  }

  #leave(job: Job): void {
    if (this.#running.delete(job)) this.#options.tempo.leave(job);
    const at = this.#waiting.indexOf(job);
    if (at !== -1) this.#waiting.splice(at, 1);
    if (this.#running.size === 0) {
      for (const resolve of this.#onIdle) resolve();
      this.#onIdle = [];
    }
    this.#admit();
  }
}
