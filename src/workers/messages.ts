/**
 * What the main thread and the workers say to each other: plain data that can be cloned. What one of them says arrives in the order
 * in which it was said.
 */
import type { AddressInfo } from "node:net";
import type { Failure } from "../base/failure.ts";
import type { TlsIdentity } from "../base/tls-identity.ts";
import type { JournalEntry } from "../core/journal.ts";
import type { Lease, LeaseId, LeaseOutcome, WaiterId } from "../core/lease.ts";
import type { ModelId, Priority } from "../core/model.ts";
import type { EngineStates } from "../gateway/engine-states.ts";
import type { AccessRecord } from "../ports/access-record.ts";
import type { EngineHealth, StartProgress } from "../ports/engine-directory.ts";

/** Names one life of an engine; unique for the life of the process. */
export type LifeId = number;

/** Numbers what is asked of the other side, to tell the answers apart. */
export type QuestionId = number;

/** From a worker. Waiters have the numbers that the worker gave them. */
export type FromWorker =
  | {
      readonly kind: "request";
      readonly waiter: WaiterId;
      readonly model: ModelId;
      readonly priority: Priority | undefined;
    }
  | { readonly kind: "abandoned"; readonly waiter: WaiterId }
  | { readonly kind: "released"; readonly lease: LeaseId; readonly outcome: LeaseOutcome }
  | { readonly kind: "ended"; readonly record: AccessRecord }
  | { readonly kind: "bug"; readonly message: string; readonly stack: string }
  | { readonly kind: "response made"; readonly id: string; readonly model: ModelId }
  | { readonly kind: "who made"; readonly question: QuestionId; readonly id: string }
  | { readonly kind: "how is"; readonly question: QuestionId; readonly life: LifeId; readonly model: ModelId }
  | { readonly kind: "look at queues"; readonly question: QuestionId }
  | { readonly kind: "surge over" }
  /** The answer to a `WorkerOrder`. */
  | { readonly kind: "done"; readonly question: QuestionId; readonly result: OrderResult };

/** What comes of an order: an address for "listen", a time for "oldest arrival". */
export type OrderResult =
  | { readonly kind: "done" }
  | { readonly kind: "listening"; readonly address: AddressInfo }
  | { readonly kind: "oldest"; readonly atEpochMs: number }
  | { readonly kind: "failed"; readonly message: string };

/** What a worker is told to do and answers. */
export type WorkerOrder =
  | { readonly what: "listen"; readonly host: string; readonly port: number }
  | { readonly what: "stop accepting" }
  /** Answered when no request is in progress. */
  | { readonly what: "become idle" }
  /** All that it will tell of from now on has arrived at this time, in ms since 1970, or later. */
  | { readonly what: "oldest arrival" };

/** To a worker. */
export type ToWorker =
  | { readonly kind: "granted"; readonly lease: Lease }
  | { readonly kind: "refused"; readonly waiter: WaiterId; readonly failure: Failure }
  | { readonly kind: "revoked"; readonly lease: Lease; readonly failure: Failure }
  | {
      readonly kind: "life begun";
      readonly life: LifeId;
      readonly model: ModelId;
      readonly origin: string;
      readonly headers: readonly string[];
    }
  | { readonly kind: "life ended"; readonly life: LifeId; readonly model: ModelId }
  | { readonly kind: "states"; readonly states: EngineStates }
  | { readonly kind: "journal"; readonly entry: JournalEntry }
  | { readonly kind: "made by"; readonly question: QuestionId; readonly model: ModelId | null }
  | { readonly kind: "health"; readonly question: QuestionId; readonly health: EngineHealth }
  | {
      readonly kind: "queues";
      readonly question: QuestionId;
      readonly progress: readonly (readonly [ModelId, StartProgress])[];
      readonly positions: readonly (readonly [WaiterId, number])[];
    }
  | { readonly kind: "order"; readonly question: QuestionId; readonly order: WorkerOrder }
  | { readonly kind: "renew tls"; readonly identity: TlsIdentity }
  /** Breaks every connection, and ends the thread. */
  | { readonly kind: "destroy" };
