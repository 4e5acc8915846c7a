/** What a policy is: a pure function from what is waiting and what is awake to one decision. */
import type { DeviceId, ModelId } from "./model.ts";

/** A model for which requests wait while it is not awake and no switch to it is under way. */
export interface Candidate {
  readonly model: ModelId;
  readonly devices: readonly DeviceId[];
  /** How many requests wait, those that stand still in its sleeping engine included; at least 1. */
  readonly waiting: number;
  /** The same, each counted by its priority: a high one as 4, a low one as a quarter. */
  readonly weight: number;
  /** The same without low ones: those press for no switch. */
  readonly pressingWeight: number;
  readonly oldestEnqueuedAtMs: number;
  /** Sum of the enqueue times, each counted by its priority, for policies that weigh by age. */
  readonly weightedEnqueuedAtMs: number;
  /** Why a switch to it cannot begin now, in words; null when it can. */
  readonly obstacle: string | null;
  /** Who would have to leave. */
  readonly victims: readonly Resident[];
  /** Estimate of sleep plus wake in ms, drain left out. */
  readonly switchCostMs: number;
  /** Estimate of how long those who would have to leave take to come to rest, in ms. */
  readonly drainMs: number;
  /** The same for the way back to who is awake now; 0 when nobody is. */
  readonly switchBackCostMs: number;
  /** Estimate of how long it will stay awake, in ms. */
  readonly visitMs: number;
  /** What forced switches may still spend on its devices, in ms; 0 unless the scheduler keeps such an account. */
  readonly forcedCreditMs: number;
}

/** A model that is awake. */
export interface Resident {
  readonly model: ModelId;
  readonly awakeSinceMs: number;
  readonly inFlight: number;
  /** Requests that wait although it is awake, because as many are let in as may be at once. */
  readonly waiting: number;
  /** Both together, each request counted by its priority. */
  readonly load: number;
}

/** What a policy sees. */
export interface PolicyView {
  readonly nowMs: number;
  /** In no particular order; at least one. */
  readonly candidates: readonly Candidate[];
}

/**
 * For how long a "stay" holds whatever comes and goes: as long as no queue weighs more and no model that is awake carries less,
 * the policy would say the same again, but for a model that had no queue before. So the cost of an arrival does not grow with
 * the number of models.
 */
export interface Holds {
  readonly pressingWeightAtMost: number;
  readonly loadAtLeast: number;
  /** Devices on which a model that gets its first waiter need not be looked at. */
  readonly keptDevices: ReadonlySet<DeviceId>;
  /** Whether somebody who does not wait any more can have kept others from their turn. */
  readonly leaversMatter: boolean;
}

/** What a policy says. After a switch it is asked again at once, since another device may be free for another one. */
export type Decision =
  | {
      readonly kind: "stay";
      /** Ask again then, at the latest; later than now. */
      readonly askAgainAtMs: number | null;
      /** Absent: ask again at every event. */
      readonly holds?: Holds;
    }
  | {
      readonly kind: "switch";
      readonly to: ModelId;
      /** For the journal, in words. */
      readonly because: string;
      /** What it takes from the credit for forced switches, in ms. */
      readonly forcedCostMs?: number;
    };

/** How one candidate looks to the policy, in words that an operator understands. */
export interface Verdict {
  readonly model: ModelId;
  /** What was weighed: "12 wait, the oldest for 8.1 s; a switch costs 2.6 s; worth 1.9 requests a second". */
  readonly weighed: string;
  /** What keeps it: "m-large has been awake for 4.0 s of at least 7.8 s"; null when nothing does. */
  readonly keptBy: string | null;
}

/** What a bound on waiting depends on. Durations in ms. */
export interface BoundTerms {
  /** Other models that may have to be served before. */
  readonly otherModels: number;
  /** Requests that wait already. */
  readonly olderWaiting: number;
  /** Requests that are let in at once. */
  readonly inFlightMax: number;
  /** The dearest switch. */
  readonly switchCostMaxMs: number;
  /** The longest drain; null: there is no limit. */
  readonly drainMaxMs: number | null;
  /** How many devices one of the models takes at most. */
  readonly devicesMax: number;
}

/** Decides from the view alone: no clock, no timer, no memory of its own. */
export interface Policy {
  (view: PolicyView): Decision;
  /** Whom to wake after a drain: demand has moved meanwhile. Absent: the one for whom it was. */
  readonly chooseAgain?: (view: PolicyView) => ModelId;
  /** How it sees each candidate, in the order in which it would go there. */
  readonly explain?: (view: PolicyView) => readonly Verdict[];
  /** The longest that a request can wait while nothing fails, in ms; null: there is no bound under these terms. */
  readonly boundMs?: (terms: BoundTerms) => number | null;
}
