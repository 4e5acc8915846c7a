/** A clock that stands still until a test lets time pass. */
import type { Clock, TimerHandle } from "../../ports/clock.ts";

interface Alarm {
  readonly atMs: number;
  readonly fire: () => void;
}

/** Timers fire in order; what they set going runs before the next one. */
export class FakeClock implements Clock {
  #nowMs = 0;
  readonly #alarms = new Set<Alarm>();

  nowMs(): number {
    return this.#nowMs;
  }

  epochMs(): number {
    return this.#nowMs;
  }

  after(delayMs: number, fire: () => void): TimerHandle {
    const alarm = { atMs: this.#nowMs + Math.max(delayMs, 0), fire };
    this.#alarms.add(alarm);
    return { cancel: () => void this.#alarms.delete(alarm) };
  }

  /** How many timers are set. */
  get pending(): number {
    return this.#alarms.size;
  }

  async pass(ms: number): Promise<void> {
    const endAtMs = this.#nowMs + ms;
    await settled();
    for (let next = this.#next(endAtMs); next !== null; next = this.#next(endAtMs)) {
      this.#alarms.delete(next);
      this.#nowMs = next.atMs;
      next.fire();
      await settled();
    }
    this.#nowMs = endAtMs;
  }

  #next(endAtMs: number): Alarm | null {
    let first: Alarm | null = null;
    for (const alarm of this.#alarms)
      if (alarm.atMs <= endAtMs && alarm.atMs < (first?.atMs ?? Infinity)) first = alarm;
    return first;
  }
}

/** Resolves when everything that was due has run. */
export function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
