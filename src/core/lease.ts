/** A waiter's permission to use an awake engine, from the grant to the last byte. */
import type { ModelId, Priority } from "./model.ts";

/** Names one request at the scheduler, chosen by the caller; unique for the life of the process. */
export type WaiterId = number;

/** Names one grant; unique for the life of the process. */
export type LeaseId = number;

/** One request in progress. It is released exactly once, on its end, its failure or its client's leaving. */
export interface Lease {
  readonly id: LeaseId;
  readonly waiter: WaiterId;
  readonly model: ModelId;
  readonly priority: Priority;
  readonly grantedAtMs: number;
  /** How long the request waited for this grant. */
  readonly waitedMs: number;
}

/** How a lease ended: the engine answered, it did not, or the client went away. */
export type LeaseOutcome = "served" | "failed" | "abandoned";
