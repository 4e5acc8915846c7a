/** Virtual time for a whole app: its clock, the timers that are its own, and the pace of the run. */
import { setImmediate as nextImmediate } from "node:timers/promises";
import type { Scheduled, VirtualClock } from "../../src/simulation/virtual-clock.ts";
import type { Clock, TimerHandle } from "../../src/ports/clock.ts";

/** 1 November 2026, so that times look like times. */
const EPOCH_MS = Date.UTC(2026, 10, 1);

/**
 * All that was asked for and has not answered by then can only be answered by a later event: what an event leads to happens in one turn
 * of the event loop, what is written in that turn goes out at its end, and whoever hears of it answers in the next one.
 */
export async function nextTurn(): Promise<void> {
  for (let turn = 0; turn < 3; turn += 1) await nextImmediate();
}

/** The clock of one life of llmux. Timers of the world around it are not among `timersLeft`. */
export class AppClock implements Clock {
  readonly #clock: VirtualClock;
  readonly #lagMs: number;
  readonly #timers = new Set<Scheduled>();
  #isStopped = false;

  constructor(clock: VirtualClock, lagMs: number) {
    this.#clock = clock;
    this.#lagMs = lagMs;
  }

  get timersLeft(): number {
    return this.#timers.size;
  }

  nowMs(): number {
    return this.#clock.nowMs;
  }

  epochMs(): number {
    return EPOCH_MS + this.#clock.nowMs;
  }

  after(delayMs: number, fire: () => void): TimerHandle {
    if (this.#isStopped) return { cancel() {} };
    const timer = this.#clock.after(Math.max(Math.ceil(delayMs), 0) + this.#lagMs, () => {
      this.#timers.delete(timer);
      fire();
    });
    this.#timers.add(timer);
    return {
      cancel: () => {
        timer.run = null;
        this.#timers.delete(timer);
      },
    };
  }

  /** The process is no more: nothing of it will ever happen again. */
  stop(): void {
    this.#isStopped = true;
    for (const timer of this.#timers) timer.run = null;
    this.#timers.clear();
  }
}

/**
 * `AbortSignal.timeout` counts true time, which stands still here. While a run lasts it counts virtual time instead; returns
 * what puts the true one back.
 */
export function virtualAbortTimeouts(clock: VirtualClock): () => void {
  const original = Object.getOwnPropertyDescriptor(AbortSignal, "timeout");
  if (original === undefined) throw new Error("there is no AbortSignal.timeout");
  Object.defineProperty(AbortSignal, "timeout", {
    ...original,
    value(delayMs: number): AbortSignal {
      const controller = new AbortController();
      clock.after(delayMs, () => controller.abort(new DOMException("no answer in time", "TimeoutError")));
      return controller.signal;
    },
  });
  return () => Object.defineProperty(AbortSignal, "timeout", original);
}
