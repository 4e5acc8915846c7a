/** Candidates as a policy sees them, for tests of policies: on one device, where `a` is awake and has four requests. */
import type { Candidate, Resident } from "../policy.ts";

/** When they are looked at. */
export const NOW_MS = 1_000_000;

/** Who waits. */
export interface Waiting {
  readonly count: number;
  readonly oldestS: number;
}

/** `count` requests, all of them `oldestS` old. */
export function candidate(model: string, { count, oldestS }: Waiting, rest: Partial<Candidate> = {}): Candidate {
  const oldestEnqueuedAtMs = NOW_MS - oldestS * 1000;
  return {
    model,
    devices: ["0"],
    waiting: count,
    oldestEnqueuedAtMs,
    weight: count,
    pressingWeight: count,
    weightedEnqueuedAtMs: count * oldestEnqueuedAtMs,
    obstacle: null,
    victims: [awake("a", 10, 4)],
    switchCostMs: 2000,
    switchBackCostMs: 2000,
    drainMs: 0,
    visitMs: 5000,
    forcedCreditMs: 0,
    ...rest,
  };
}

/** A model that is awake. */
export function awake(model: string, forS: number, inFlight: number, waiting = 0): Resident {
  return { model, awakeSinceMs: NOW_MS - forS * 1000, inFlight, waiting, load: inFlight + waiting };
}
