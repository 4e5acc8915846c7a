/** Whether an engine that only its own command can end is really gone: as long as something answers at its address, it is not. */
import { delay, type Clock } from "../ports/clock.ts";
import type { HttpClient } from "../ports/http-client.ts";

/** What hangs is given this long to answer. */
const ANSWER_MS = 2_000;

/** How often we look whether it still answers. */
const LOOK_MS = 200;

/** What it needs of the world. */
export interface SilenceParts {
  readonly http: HttpClient;
  readonly clock: Clock;
  readonly limits: { readonly stopGraceMs: number };
}

/** Resolves with true once nothing answers at `origin`, and `isWell` says no; with false when the grace is over before. */
export async function untilSilent(
  origin: string,
  { http, clock, limits }: SilenceParts,
  isWell: () => Promise<boolean> = () => Promise.resolve(false),
): Promise<boolean> {
  const endAtMs = clock.nowMs() + limits.stopGraceMs;
  while ((await answers(origin, http)) || (await isWell())) {
    if (clock.nowMs() >= endAtMs) return false;
    await delay(clock, LOOK_MS);
  }
  return true;
}

/** Any answer is one: an engine may be unwell and hold its memory all the same. */
async function answers(origin: string, http: HttpClient): Promise<boolean> {
  try {
    await http.call({ method: "GET", url: `${origin}/`, timeoutMs: ANSWER_MS });
    return true;
  } catch (error) {
    // On this machine a port at which nobody listens says so at once; of another machine, silence says nothing.
    return error instanceof Error && error.name === "TimeoutError" && LOOPBACK.test(new URL(origin).hostname);
  }
}

const LOOPBACK = /^(?:127(?:\.\d+){3}|localhost|\[::1\])$/;
