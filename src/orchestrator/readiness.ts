/** Waits until an engine that has been started can serve. */
import { HEALTH_PATH } from "../engines/vllm.ts";
import { delay, type Clock } from "../ports/clock.ts";
import type { HttpClient } from "../ports/http-client.ts";

/** A refused connection on loopback costs a fraction of a millisecond, so we can ask often: this is what a start adds. */
const PAUSE_MS = { first: 10, factor: 1.3, max: 20 } as const;

/** An engine that accepts and does not answer is asked again after this. */
const POLL_TIMEOUT_MS = 2_000;

/** Resolves when `GET /health` answers 200; rejects with the signal's reason. */
export async function untilReady(origin: string, http: HttpClient, clock: Clock, signal: AbortSignal): Promise<void> {
  for (let pauseMs: number = PAUSE_MS.first; ; pauseMs = Math.min(pauseMs * PAUSE_MS.factor, PAUSE_MS.max)) {
    if (await isHealthy(origin, http, signal)) return;
    await delay(clock, pauseMs, signal);
  }
}

async function isHealthy(origin: string, http: HttpClient, signal: AbortSignal): Promise<boolean> {
  try {
    const call = { method: "GET", url: origin + HEALTH_PATH, timeoutMs: POLL_TIMEOUT_MS, signal } as const;
    return (await http.call(call)).status === 200;
  } catch {
    signal.throwIfAborted();
    return false;
  }
}
