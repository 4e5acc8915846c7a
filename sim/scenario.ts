/** One run of the simulation as plain data: everything that the world will do, so that it can be replayed and shrunk. */
import type { LeaseOutcome, WaiterId } from "../src/core/lease.ts";
import type { DeviceSpec, ModelId, ModelSpec, Priority } from "../src/core/model.ts";
import type { OperatorCommand } from "../src/core/operator.ts";

/** All durations and times in ms. */
export interface Scenario {
  readonly seed: number;
  readonly policy: "fifo" | "newest first" | "bounded wait";
  readonly minActiveMs: number;
  readonly requestTimeoutMs: number;
  readonly drainTimeoutMs: number | null;
  /** What there is to share and how; null: nothing is counted, and one model is awake on a device at a time. */
  readonly budgets: Budgets | null;
  readonly models: readonly SimulatedModel[];
  readonly requests: readonly PlannedRequest[];
  readonly faults: readonly Fault[];
  readonly commands: readonly PlannedCommand[];
  /** How late every alarm goes off: a busy process is never on time. */
  readonly alarmLagMs: number;
  /** Times of alarms that nobody asked for. */
  readonly needlessAlarmsAtMs: readonly number[];
  /** `atMs` null: when nothing happens any more. */
  readonly shutdown: { readonly atMs: number | null; readonly timeoutMs: number };
}

/** What several models share. */
export interface Budgets {
  readonly devices: readonly DeviceSpec[];
  readonly hostMemoryBytes: number | null;
  readonly drainBudgetMs: number | null;
  readonly queueMax: number;
  readonly idleSleepMs: number | null;
  readonly idleStopMs: number | null;
}

/** What an engine is asked to do. */
export type EngineOrder = "start" | "wake" | "sleep" | "stop";

/** A model with the usual durations of its engine; each one varies by `JITTER`. */
export interface SimulatedModel {
  readonly spec: ModelSpec;
  readonly usualMs: Readonly<Record<EngineOrder, number>>;
  /** What it leaves behind on each device while it sleeps; absent: what is believed of it. */
  readonly residueBytes?: number;
}

/** A duration is its usual value times 1 − JITTER to 1 + JITTER. */
export const JITTER = 0.5;

/** What one client will do. */
export interface PlannedRequest {
  readonly id: WaiterId;
  readonly atMs: number;
  readonly model: ModelId;
  /** Absent: what its model says. */
  readonly priority?: Priority;
  /** How long it runs once it is let in, the time left out in which it stands still. */
  readonly holdMs: number;
  readonly outcome: LeaseOutcome;
  /** The client goes away this long after its arrival, wherever its request is then; null: never. */
  readonly patienceMs: number | null;
  /** How long it takes to hand in the lease once that is revoked, or once its engine has died. */
  readonly revokedMs: number;
}

/** One thing that goes wrong. `nth` counts from 1 for each model and kind of order or state. */
export type Fault =
  | { readonly kind: "fails"; readonly model: ModelId; readonly order: EngineOrder; readonly nth: number }
  /** A start or a wake finds too little memory; an engine that was asleep stays so. */
  | { readonly kind: "lacks memory"; readonly model: ModelId; readonly order: "start" | "wake"; readonly nth: number }
  | {
      readonly kind: "slow";
      readonly model: ModelId;
      readonly order: EngineOrder;
      readonly nth: number;
      readonly factor: number;
    }
  | {
      readonly kind: "crash";
      readonly model: ModelId;
      readonly during: CrashState;
      readonly nth: number;
      readonly afterMs: number;
      /** From the death of the process until the scheduler is told. */
      readonly noticeMs: number;
    };

/** The states in which a process can die. */
export type CrashState = "starting" | "awake" | "draining" | "falling asleep" | "asleep" | "waking";

/** What an operator will do. */
export interface PlannedCommand {
  readonly atMs: number;
  readonly model: ModelId;
  readonly command: OperatorCommand;
}
