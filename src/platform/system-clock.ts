/** The machine's clock and timers. */
// The global of this name is a getter, which each look at the clock would call.
import { performance } from "node:perf_hooks";
import type { Clock } from "../ports/clock.ts";

/** Longer delays would overflow Node's timers and fire at once. */
const DELAY_MAX_MS = 2 ** 31 - 1;

/** Monotonic time from the process's own start. */
export const systemClock: Clock = {
  nowMs: () => performance.now(),
  epochMs: () => Date.now(),
  after(delayMs, fire) {
    // Node may fire a timer up to 1 ms early; asking for whole ms, rounded up, keeps alarms from coming before their time.
    const timer = setTimeout(fire, Math.min(Math.max(Math.ceil(delayMs), 0), DELAY_MAX_MS));
    return { cancel: () => clearTimeout(timer) };
  },
};
