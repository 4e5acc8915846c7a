/** Waits until an engine that has been started can serve. */
import { delay, type Clock } from "../ports/clock.ts";
import type { Look } from "./health.ts";

/** A refused connection on loopback costs a fraction of a millisecond, so we can ask often: this is what a start adds. */
const PAUSE_MS = { first: 10, factor: 1.3, max: 20 } as const;

/** To start a process costs more. */
const COMMAND_PAUSE_MS_MAX = 1_000;

/** Resolves when it is well; rejects with the signal's reason. */
export async function untilReady(look: Look, clock: Clock, signal: AbortSignal, isCommand = false): Promise<void> {
  const maxMs = isCommand ? COMMAND_PAUSE_MS_MAX : PAUSE_MS.max;
  for (let pauseMs: number = PAUSE_MS.first; ; pauseMs = Math.min(pauseMs * PAUSE_MS.factor, maxMs)) {
    if ((await look(signal)) === null) return;
    await delay(clock, pauseMs, signal);
  }
}
