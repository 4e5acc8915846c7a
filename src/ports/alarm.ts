/** One timer that is set again and again. */
import type { Clock, TimerHandle } from "./clock.ts";

/** Goes off once for each time that it is set to. */
export class Alarm {
  readonly #clock: Clock;
  readonly #ring: () => void;
  #timer: { readonly handle: TimerHandle; readonly atMs: number } | null = null;

  constructor(clock: Clock, ring: () => void) {
    this.#clock = clock;
    this.#ring = ring;
  }

  /** From now on it goes off at this time of the clock and no other; one that has passed is now. Null: it does not. */
  set(atMs: number | null): void {
    const nowMs = this.#clock.nowMs();
    // One that is overdue comes at any moment: a new one would only be later.
    if (atMs !== null && this.#timer !== null && Math.max(atMs, this.#timer.atMs) <= nowMs) return;
    this.#timer?.handle.cancel();
    this.#timer = null;
    if (atMs === null) return;
    const handle = this.#clock.after(Math.max(0, atMs - nowMs), () => {
      this.#timer = null;
      this.#ring();
    });
    this.#timer = { handle, atMs };
  }

  /** The same, unless it goes off earlier. */
  setEarlier(atMs: number): void {
    if (this.#timer === null || atMs < this.#timer.atMs) this.set(atMs);
  }
}
