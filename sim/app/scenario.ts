/** One run of the whole app as plain data: everything that engines, clients and operators will do. Times and durations in ms. */
import type { Priority } from "../../src/core/model.ts";
import type { OperatorCommand } from "../../src/core/operator.ts";
import type { SleepLevel } from "../../src/core/sleep-level.ts";

/** All that a run depends on. */
export interface AppScenario {
  readonly seed: number;
  readonly settings: AppSettings;
  readonly models: readonly SimulatedModel[];
  readonly clients: readonly PlannedClient[];
  readonly visits: readonly PlannedVisit[];
  readonly faults: readonly AppFault[];
  /** When llmux is killed by SIGKILL; a second later the next one starts over the same state folder. */
  readonly killedAtMs: readonly number[];
  readonly end: PlannedEnd;
}

/** What of the configuration and of the machine differs from run to run. */
export interface AppSettings {
  readonly policyType: "fifo" | "bounded-wait";
  readonly minActiveMs: number;
  readonly requestTimeoutMs: number;
  readonly drainBeforeSwitch: boolean;
  readonly drainTimeoutMs: number | null;
  readonly shutdownTimeoutMs: number;
  readonly stopGraceMs: number;
  readonly sleepTimeoutMs: number;
  readonly wakeTimeoutMs: number;
  readonly reloadTimeoutMs: number;
  readonly startupTimeoutMs: number;
  /** Whether the GPUs can be asked for their memory. Without that, engines say themselves what a sleep has freed. */
  readonly hasProbe: boolean;
  /** How late every timer of llmux goes off. */
  readonly timerLagMs: number;
  /** How long it takes until a call hears that nobody listens, in ms: a machine that loads weights has other things to do. */
  readonly refusedMs: number;
  /** How many of the largest models each GPU has room for. */
  readonly roomFor: number;
  /** Whether llmux is told how large the GPUs are; else it keeps one model awake on each. */
  readonly tellsGpus: boolean;
  readonly drainBudgetMs: number | null;
  readonly idleSleepMs: number | null;
  readonly idleStopMs: number | null;
  readonly queueMax: number;
  readonly queueTotalMax: number;
  /** What sleepers at level 1 may take of the host's memory; null: not limited. */
  readonly hostMemoryBytes: number | null;
  /** How long a client of a stream hears nothing while it waits; null: to the end. */
  readonly heartbeatMs: number | null;
  /** With none, everybody may come in. The first one may do everything. */
  readonly keys: readonly SimulatedKey[];
}

/** An API key of clients. */
export interface SimulatedKey {
  readonly name: string;
  /** Null: all. */
  readonly models: readonly string[] | null;
  readonly requestsPerMinute: number | null;
  readonly inFlightMax: number | null;
  readonly priority: Priority | null;
}

/** A model and how its engine behaves when nothing goes wrong. */
export interface SimulatedModel {
  readonly name: string;
  readonly gpus: readonly number[] | null;
  /** Null: a free one is taken at each start. */
  readonly port: number | null;
  readonly sleepLevel: SleepLevel;
  readonly maxNumSeqs: number | null;
  readonly startMs: number;
  readonly sleepMs: number;
  readonly wakeMs: number;
  readonly reloadMs: number;
  /** From SIGTERM to the end of the leader; its children end a little later. */
  readonly stopMs: number;
  /** On each of its GPUs. */
  readonly awakeBytes: number;
  readonly residueBytes: number;
  /** Of the host, while it sleeps at level 1. */
  readonly hostBytes: number;
  /** Whether llmux is told of its memory; else it has to measure it. */
  readonly tellsNeed: boolean;
  readonly canSuspend: boolean;
  readonly isPinned: boolean;
  readonly isPreloaded: boolean;
  readonly priority: Priority;
  /** Whether it prints what a sleep has freed. */
  readonly tellsFreed: boolean;
  /** Whether its answer to a wake says that it is awake. */
  readonly saysAwake: boolean;
}

/** One request of one client. */
export interface PlannedClient {
  readonly id: number;
  readonly atMs: number;
  /** A configured name, or one that is not. */
  readonly model: string;
  /** The form in which the engine answers. */
  readonly form: AnswerForm;
  readonly dialect: "openai" | "anthropic";
  readonly firstByteMs: number;
  /** The answer comes in so many pieces, of so many bytes, at this distance. */
  readonly pieces: number;
  readonly pieceBytes: number;
  readonly pieceMs: number;
  readonly isHttp10: boolean;
  /** The name of the key that it shows, if there is one of that name; null: it shows none. */
  readonly key: string | null;
  /** Null: it says nothing of it. */
  readonly priority: Priority | null;
  /** Requests with the same number come over one connection; null: over one of its own. */
  readonly connection: number | null;
  /** On a shared connection: sent without waiting for the answer to the one before. */
  readonly isPipelined: boolean;
  /** How long the body takes to be sent, in three parts; 0: at once. */
  readonly sendMs: number;
  readonly leaves: PlannedLeaving | null;
  /** It stops reading when it has got so many bytes of the body, for so long; null: for ever. */
  readonly pause: { readonly atByte: number; readonly forMs: number | null } | null;
}

/** An event stream; a body with its length, at the end or in pieces; or one that is chunked. */
export type AnswerForm = "stream" | "whole" | "pieces with length" | "chunked";

/** When a client goes, and whether it closes the connection in order. */
export type PlannedLeaving =
  | { readonly kind: "after"; readonly ms: number; readonly inOrder: boolean }
  | { readonly kind: "at byte"; readonly bytes: number; readonly inOrder: boolean }
  | { readonly kind: "while sending"; readonly inOrder: boolean };

/** Somebody who looks, or an operator who orders. */
export interface PlannedVisit {
  readonly atMs: number;
  readonly what:
    | { readonly kind: "look"; readonly at: "/v1/models" | "/health" | "/metrics" | "/status" }
    | { readonly kind: "order"; readonly model: string; readonly command: OperatorCommand };
}

/** One thing that goes wrong. `nth` counts from 1, for each model and each kind of call or state, over all lives of its engine. */
export type AppFault =
  | { readonly kind: "spawn fails"; readonly model: string; readonly nth: number }
  | { readonly kind: "port taken"; readonly model: string; readonly nth: number }
  | { readonly kind: "start"; readonly model: string; readonly nth: number; readonly does: "never ready" | "slow" }
  | {
      readonly kind: "call";
      readonly model: string;
      readonly call: ControlCall;
      readonly nth: number;
      readonly does: CallFault;
    }
  | {
      readonly kind: "crash";
      readonly model: string;
      readonly during: CrashState;
      readonly nth: number;
      readonly afterMs: number;
      readonly how: CrashForm;
    }
  /** An engine that does not end when it is told to: not by SIGTERM, or for some time not even by SIGKILL. */
  | { readonly kind: "ignores SIGTERM"; readonly model: string; readonly nth: number }
  | { readonly kind: "hangs in the kernel"; readonly model: string; readonly nth: number; readonly forMs: number }
  | {
      readonly kind: "request";
      readonly client: number;
      /** Which sending of it. */
      readonly nth: number;
      readonly does: RequestFault;
    }
  | { readonly kind: "stall"; readonly client: number; readonly piece: number; readonly forMs: number | null };

/** The calls that can go wrong. */
export type ControlCall = "sleep" | "wake" | "reload";

/** An error and nothing done; an error though it is done; done, and the answer lost; no answer ever; late; 200 and nothing done. */
export type CallFault = "500" | "500 but done" | "answer lost" | "hangs" | "slow" | "200 but nothing done";

/** The states in which an engine can die. "answering": when the nth request has come. */
export type CrashState = "starting" | "awake" | "answering" | "falling asleep" | "asleep" | "waking";

/**
 * Who dies: all at once; the leader alone, its children stay and hold the GPU; or the core first, so that the leader answers
 * 500 for a while and then ends with exit code 0.
 */
export type CrashForm = "all" | "leader" | "core";

/** What an engine, which stays alive, does to one request. */
export type RequestFault =
  | "500"
  | "400"
  | "refuses the connection"
  | "resets before the answer"
  | "resets in the answer";

/** How the run ends; `atMs` null: when all clients are done. */
export type PlannedEnd =
  | { readonly kind: "drain"; readonly atMs: number | null }
  | { readonly kind: "kill"; readonly atMs: number | null }
  /** A second signal, this long after the first. */
  | { readonly kind: "drain, then kill"; readonly atMs: number | null; readonly afterMs: number };
