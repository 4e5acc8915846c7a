/** A frozen picture of the scheduler for everyone who only looks. */
import type { Failure } from "../base/failure.ts";
import type { EngineState } from "./engine-state.ts";
import type { DeviceId, ModelId } from "./model.ts";
import type { SleepLevel } from "./sleep-level.ts";
import type { SwitchPhase } from "./switch.ts";

/** All models and all switches at one moment. */
export interface Snapshot {
  readonly atMs: number;
  readonly phase: "running" | "shutting down" | "finished";
  readonly models: readonly ModelSnapshot[];
  readonly switches: readonly SwitchSnapshot[];
}

/** One model. Times are on the caller's clock, in ms. */
export interface ModelSnapshot {
  readonly id: ModelId;
  readonly devices: readonly DeviceId[];
  readonly sleepLevel: SleepLevel;
  readonly state: EngineState;
  readonly stateSinceMs: number;
  readonly waiting: number;
  readonly oldestEnqueuedAtMs: number | null;
  readonly inFlight: number;
  /** Crashes and failed wakes since a request was last served. */
  readonly failuresInRow: number;
  readonly lastFailure: Failure | null;
}

/** One switch under way. */
export interface SwitchSnapshot {
  readonly from: readonly ModelId[];
  readonly to: ModelId;
  readonly phase: SwitchPhase;
  readonly startedAtMs: number;
}
