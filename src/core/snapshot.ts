/** A frozen picture of the scheduler for everyone who only looks. */
import type { Failure } from "../base/failure.ts";
import type { EngineState } from "./engine-state.ts";
import { modelSnapshot, type Engines, type ModelRecord } from "./engines.ts";
import type { HostMemory } from "./host-memory.ts";
import type { Island } from "./island.ts";
import type { MemoryFigures } from "./memory.ts";
import type { DeviceId, ModelId, Priority } from "./model.ts";
import type { SleepLevel } from "./sleep-level.ts";
import type { SwitchCause, SwitchPhase } from "./switch.ts";

/** All models and all switches at one moment. */
export interface Snapshot {
  readonly atMs: number;
  readonly phase: "running" | "shutting down" | "finished";
  readonly models: readonly ModelSnapshot[];
  readonly switches: readonly SwitchSnapshot[];
  readonly devices: readonly DeviceSnapshot[];
  readonly hostMemory: { readonly budgetBytes: number | null; readonly usedBytes: number };
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
  /** How many of those in flight stand still, because their engine was put to sleep around them. */
  readonly suspended: number;
  readonly priority: Priority;
  readonly pinned: boolean;
  /** What it takes, as far as it is known. */
  readonly memory: Readonly<MemoryFigures>;
  /** How long a request that comes now waits at most while nothing fails, in ms; null: the policy knows no bound. */
  readonly boundMs: number | null;
  /** Crashes and failed wakes since a request was last served. */
  readonly failuresInRow: number;
  readonly lastFailure: Failure | null;
}

/** One switch under way. */
export interface SwitchSnapshot {
  readonly from: readonly ModelId[];
  readonly to: ModelId;
  readonly phase: SwitchPhase;
  readonly cause: SwitchCause;
  readonly startedAtMs: number;
}

/** One device. */
export interface DeviceSnapshot {
  readonly id: DeviceId;
  /** In bytes; null: not known. */
  readonly memoryBytes: number | null;
  /** What those who are awake or asleep there need of it, as far as that is known, in bytes. */
  readonly usedBytes: number;
}

/** Everything as it is now. */
export function takeSnapshot(parts: {
  readonly atMs: number;
  readonly phase: Snapshot["phase"];
  readonly engines: Engines;
  readonly switches: readonly SwitchSnapshot[];
  readonly host: HostMemory;
  readonly boundMs: (record: ModelRecord) => number | null;
}): Snapshot {
  const { atMs, phase, engines, switches, host } = parts;
  // The same for all models of an island, and it looks at all of them.
  const bounds = new Map<Island, number | null>();
  const boundMs = (record: ModelRecord): number | null => {
    const known = bounds.get(record.island);
    if (known !== undefined) return known;
    const found = parts.boundMs(record);
    bounds.set(record.island, found);
    return found;
  };
  return {
    atMs,
    phase,
    models: Array.from(engines.all(), (record) => modelSnapshot(record, boundMs(record))),
    switches,
    devices: Array.from(engines.devices.entries(), ([id, { memoryBytes, residents, sleepers }]) => {
      let usedBytes = 0;
      for (const model of residents) usedBytes += engines.get(model).memory.needBytes ?? 0;
      for (const model of sleepers) usedBytes += engines.get(model).memory.residueBytes;
      return { id, memoryBytes, usedBytes };
    }),
    hostMemory: { budgetBytes: host.budgetBytes, usedBytes: host.usedBytes() },
  };
}
