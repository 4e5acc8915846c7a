/** What a policy is: a pure function from what is waiting and what is awake to one decision. */
import type { DeviceId, ModelId } from "./model.ts";

/** A model for which requests wait while it is not awake and no switch to it is under way. */
export interface Candidate {
  readonly model: ModelId;
  readonly devices: readonly DeviceId[];
  /** How many requests wait; at least 1. */
  readonly waiting: number;
  readonly oldestEnqueuedAtMs: number;
  /** Sum of the enqueue times of all that wait, for policies that weigh by age. */
  readonly sumEnqueuedAtMs: number;
  /** Why a switch to it cannot begin now, in words; null when it can. */
  readonly obstacle: string | null;
  /** Who would have to leave. */
  readonly victims: readonly Resident[];
  /** Estimate of sleep plus wake in ms, drain left out. */
  readonly switchCostMs: number;
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
}

/** What a policy sees. */
export interface PolicyView {
  readonly nowMs: number;
  /** In no particular order; at least one. */
  readonly candidates: readonly Candidate[];
}

/** What a policy says. After a switch it is asked again at once, since another device may be free for another one. */
export type Decision =
  | {
      readonly kind: "stay";
      /** Ask again then, at the latest; later than now. */
      readonly askAgainAtMs: number | null;
    }
  | {
      readonly kind: "switch";
      readonly to: ModelId;
      /** For the journal, in words. */
      readonly because: string;
      /** What it takes from the credit for forced switches, in ms. */
      readonly forcedCostMs?: number;
    };

/** Decides from the view alone: no clock, no timer, no memory of its own. */
export type Policy = (view: PolicyView) => Decision;
