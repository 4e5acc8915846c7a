/** The one stream of what happened. Logs, metrics and traces read it; nothing reads it to decide. */
import type { Failure } from "../base/failure.ts";
import type { EngineState, EngineStateKind } from "./engine-state.ts";
import type { LeaseOutcome, WaiterId } from "./lease.ts";
import type { ModelId } from "./model.ts";
import type { Verdict } from "./policy.ts";

/** One thing that happened, without its time. Durations are in ms; `from` names who leaves, empty when nobody did. */
export type JournalEvent =
  | { readonly kind: "request queued"; readonly model: ModelId; readonly waiter: WaiterId; readonly depth: number }
  | { readonly kind: "request granted"; readonly model: ModelId; readonly waiter: WaiterId; readonly waitedMs: number }
  | {
      readonly kind: "request refused";
      readonly model: ModelId;
      readonly waiter: WaiterId;
      readonly waitedMs: number;
      readonly failure: Failure;
    }
  | {
      readonly kind: "request abandoned";
      readonly model: ModelId;
      readonly waiter: WaiterId;
      readonly waitedMs: number;
    }
  | {
      readonly kind: "lease released";
      readonly model: ModelId;
      readonly outcome: LeaseOutcome;
      readonly heldMs: number;
    }
  | { readonly kind: "lease revoked"; readonly model: ModelId; readonly failure: Failure }
  | {
      readonly kind: "state changed";
      readonly model: ModelId;
      readonly from: EngineStateKind;
      readonly to: EngineState;
      /** How long the engine was in the state it leaves. */
      readonly lastedMs: number;
    }
  | {
      readonly kind: "switch started";
      readonly from: readonly ModelId[];
      readonly to: ModelId;
      readonly because: string;
      /** How those who could have come looked to the policy, the best first; ten at most. */
      readonly compared: readonly Verdict[];
    }
  | {
      /** After the drain another model was worth more than the one for whom it began. */
      readonly kind: "switch redirected";
      readonly from: readonly ModelId[];
      readonly before: ModelId;
      readonly to: ModelId;
    }
  | {
      /** It found too little memory, and is tried once more when `evicting` has made room. */
      readonly kind: "wake retried";
      readonly model: ModelId;
      readonly evicting: ModelId;
      readonly failure: Failure;
    }
  | { readonly kind: "requests suspended"; readonly model: ModelId; readonly requests: number }
  | {
      /** What an engine takes awake is not what was believed; the measured figure counts from now on. */
      readonly kind: "memory differs";
      readonly model: ModelId;
      readonly believedBytes: number;
      readonly measuredBytes: number;
    }
  | { readonly kind: "drain ended"; readonly from: readonly ModelId[]; readonly to: ModelId; readonly drainMs: number }
  | {
      readonly kind: "switch cancelled";
      readonly from: readonly ModelId[];
      readonly to: ModelId;
      readonly because: string;
    }
  | {
      readonly kind: "switch ended";
      readonly from: readonly ModelId[];
      readonly to: ModelId;
      readonly durationMs: number;
      readonly costAverageMs: number;
    }
  | {
      readonly kind: "switch failed";
      readonly from: readonly ModelId[];
      readonly to: ModelId;
      readonly durationMs: number;
      readonly failure: Failure;
    }
  | {
      readonly kind: "engine crashed";
      readonly model: ModelId;
      readonly during: EngineStateKind;
      readonly failure: Failure;
    }
  | { readonly kind: "sleep failed"; readonly model: ModelId; readonly failure: Failure }
  | {
      readonly kind: "stop failed";
      readonly model: ModelId;
      readonly failure: Failure;
      readonly retryAtMs: number | null;
    }
  | { readonly kind: "shutdown started"; readonly inFlight: number }
  | { readonly kind: "shutdown ended" };

/** A journal event with the time at which it happened, on the caller's clock, in ms. */
export type JournalEntry = JournalEvent & { readonly atMs: number };
