/**
 * Watches a client that reads more slowly than its engine writes. One that has stopped reading holds its lease, and with it the GPU,
 * against everybody who waits for another model: after a while its connection goes.
 */
import type { Clock, TimerHandle } from "../ports/clock.ts";

/** What is watched, and what then. */
export interface StallWatchOptions {
  readonly clock: Clock;
  /** How long the client may take to make room for one more chunk, or to read what is left after the last one, in ms. */
  readonly timeoutMs: number;
  readonly onStalled: () => void;
}

/** One answer's watch; it costs nothing while the client keeps up. */
export class StallWatch {
  readonly #options: StallWatchOptions;
  #timer: TimerHandle | null = null;

  constructor(options: StallWatchOptions) {
    this.#options = options;
  }

  /** A chunk has found no room. */
  onBlocked(): void {
    this.#start();
  }

  /** The last byte has been written, and is not yet sent. */
  onEnded(): void {
    this.#start();
  }

  /** There is room again, or the answer is over. */
  cancel(): void {
    this.#timer?.cancel();
    this.#timer = null;
  }

  #start(): void {
    const { clock, timeoutMs, onStalled } = this.#options;
    this.#timer ??= clock.after(timeoutMs, onStalled);
  }
}
