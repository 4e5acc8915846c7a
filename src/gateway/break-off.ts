/** Ends an answer that has begun and cannot be completed, so that no client takes it for complete. */
import type { Clock, TimerHandle } from "../ports/clock.ts";
import type { HttpResponse } from "./http1/http-response.ts";

/** How long a client may take to read its last event before the connection goes all the same. */
const LAST_EVENT_MS = 5_000;

/**
 * The connection does not survive this. `lastWords` are sent before the end, where the form of the answer has room for them. The timer is
 * to be cancelled when the response is closed.
 */
export function breakOff(response: HttpResponse, lastWords: string | null, clock: Clock): TimerHandle | null {
  if (lastWords === null || response.isClosed) {
    response.cut();
    return null;
  }
  const timer = clock.after(LAST_EVENT_MS, () => response.cut());
  response.endAbruptly(Buffer.from(lastWords));
  return timer;
}
