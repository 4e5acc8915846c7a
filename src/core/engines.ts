/** Every model's record and the only place where the state of an engine changes. */
import { assert } from "../base/assert.ts";
import type { Failure } from "../base/failure.ts";
import { Devices } from "./devices.ts";
import type { Effects } from "./effects.ts";
import { assertMove, type EngineState } from "./engine-state.ts";
import type { JournalEvent } from "./journal.ts";
import type { Lease, LeaseId } from "./lease.ts";
import { islandsOf, type Island } from "./island.ts";
import { newFigures, type MemoryFigures } from "./memory.ts";
import type { DeviceSpec, ModelId, ModelSpec } from "./model.ts";
import type { LiveSleepLevel, SleepLevel } from "./sleep-level.ts";
import type { ModelSnapshot } from "./snapshot.ts";
import type { Switch } from "./switch.ts";
import type { Timer } from "./timers.ts";
import { WaitQueue } from "./wait-queue.ts";

/** All that the scheduler keeps of one model. */
export interface ModelRecord {
  readonly spec: ModelSpec;
  state: EngineState;
  stateSinceMs: number;
  awakeSinceMs: number;
  readonly queue: WaitQueue;
  readonly leases: Map<LeaseId, Lease>;
  /** The leases, each counted by its priority. */
  leaseWeight: number;
  /** The same without low ones. */
  pressingLeaseWeight: number;
  /** How long leases of it are held: a moving average in ms; null before the first one has ended. */
  heldAverageMs: number | null;
  /** The time of its drain is over: what still runs on it is to stand still as soon as it is put away. */
  drainIsSpent: boolean;
  /** Since when its requests stand still in an engine that is put to sleep around them; null: they do not. */
  suspendedSinceMs: number | null;
  /** Set while they do: they do not stand still for ever. */
  suspendedTimer: Timer | null;
  /** When the last request was let in or ended. */
  lastUsedAtMs: number;
  /** What is known of the memory it takes. */
  readonly memory: MemoryFigures;
  /** Its weights are in the host's memory, or on their way there or back. */
  holdsHostMemory: boolean;
  /** What its sleep is worth, see `SleeperCredits`. */
  credit: number;
  /** The models that it may have to share a device with, itself included. */
  island: Island;
  failuresInRow: number;
  lastFailure: Failure | null;
  /** Until then requests are refused with `lastFailure`. */
  retryAtMs: number;
  /** Stops in a row that left a process behind. */
  failedStops: number;
  /** The switch of which it is the target or a victim. */
  switch: Switch | null;
  drainTimer: Timer | null;
  /** Set while a stop that failed waits for its next try. */
  stopTimer: Timer | null;
  /** Set while it may have to go a step down because nobody wants it. */
  idleTimer: Timer | null;
}

/** Owns the records. */
export class Engines {
  readonly devices: Devices;
  readonly #records = new Map<ModelId, ModelRecord>();
  readonly #effects: Effects;

  constructor(models: readonly ModelSpec[], devices: readonly DeviceSpec[], effects: Effects, nowMs: number) {
    this.devices = new Devices(models, devices);
    this.#effects = effects;
    const islands = new Map<ModelId, Island>();
    for (const island of islandsOf(models)) for (const { id } of island.models) islands.set(id, island);
    for (const spec of models) {
      assert(!this.#records.has(spec.id), `model ${spec.id} is there twice`);
      assert(spec.devices.length > 0, `model ${spec.id} has no device`);
      const island = islands.get(spec.id);
      assert(island !== undefined, `model ${spec.id} is on no island`);
      this.#records.set(spec.id, newRecord(spec, island, nowMs));
    }
  }

  get(id: ModelId): ModelRecord {
    const record = this.#records.get(id);
    assert(record !== undefined, `no model ${id}`);
    return record;
  }

  /** In the order of the models. */
  all(): IterableIterator<ModelRecord> {
    return this.#records.values();
  }

  open(record: ModelRecord, nowMs: number): void {
    this.#moveTo(record, { kind: "awake" }, nowMs);
  }

  drain(record: ModelRecord, to: SleepLevel, nowMs: number): void {
    this.#moveTo(record, { kind: "draining", to }, nowMs);
  }

  /** Puts away an engine on which nothing runs, or on which it is to stand still, to the level its drain was for. */
  putAway(record: ModelRecord, nowMs: number): void {
    assert(record.state.kind === "draining", `${record.spec.id} is put away undrained`);
    const isKept = record.suspendedSinceMs !== null;
    assert(record.leases.size === 0 || isKept, `${record.spec.id} is put away with ${record.leases.size} leases out`);
    const level = record.state.to;
    if (level === 3) {
      this.stop(record, null, nowMs);
    } else {
      this.#moveTo(record, { kind: "falling asleep", to: level }, nowMs);
      this.#effects.sleep(record.spec.id, level, isKept ? "kept" : "none");
    }
  }

  asleep(record: ModelRecord, nowMs: number): void {
    assert(record.state.kind === "falling asleep", `${record.spec.id} fell asleep in state ${record.state.kind}`);
    this.#moveTo(record, { kind: "asleep", level: record.state.to }, nowMs);
  }

  /** A wake that was not possible has left the engine as it was. */
  asleepStill(record: ModelRecord, nowMs: number): void {
    assert(record.state.kind === "waking", `${record.spec.id} sleeps on in state ${record.state.kind}`);
    this.#moveTo(record, { kind: "asleep", level: record.state.from }, nowMs);
  }

  /** Wakes or starts the engine, whichever brings it awake from where it is. */
  bringUp(record: ModelRecord, nowMs: number): void {
    if (record.state.kind === "asleep") {
      const from: LiveSleepLevel = record.state.level;
      this.#moveTo(record, { kind: "waking", from }, nowMs);
      this.#effects.wake(record.spec.id, from);
    } else {
      this.#moveTo(record, { kind: "starting" }, nowMs);
      this.#effects.start(record.spec.id);
    }
  }

  stop(record: ModelRecord, because: Failure | null, nowMs: number): void {
    this.#moveTo(record, { kind: "stopping", because }, nowMs);
    this.#effects.stop(record.spec.id);
  }

  /** A stop that left something behind is tried again. */
  stopAgain(record: ModelRecord): void {
    assert(record.state.kind === "stopping", `${record.spec.id} is stopped again in state ${record.state.kind}`);
    record.stopTimer = null;
    this.#effects.stop(record.spec.id);
  }

  /** No process is left. `failed` while the backoff of what made us stop it lasts. */
  stopped(record: ModelRecord, nowMs: number): void {
    assert(record.state.kind === "stopping", `${record.spec.id} stopped in state ${record.state.kind}`);
    const { because } = record.state;
    record.failedStops = 0;
    if (because !== null && record.retryAtMs > nowMs) {
      this.#moveTo(record, { kind: "failed", failure: because, retryAtMs: record.retryAtMs }, nowMs);
    } else {
      this.#moveTo(record, { kind: "stopped" }, nowMs);
    }
  }

  journal(event: JournalEvent, nowMs: number): void {
    this.#effects.record({ ...event, atMs: nowMs });
  }

  #moveTo(record: ModelRecord, to: EngineState, nowMs: number): void {
    const from = record.state;
    assertMove(record.spec.id, from.kind, to.kind);
    const lastedMs = nowMs - record.stateSinceMs;
    record.state = to;
    record.stateSinceMs = nowMs;
    // A drain that was called off goes on with the same stay, so that it cannot extend it again and again.
    if (to.kind === "awake" && from.kind !== "draining") record.awakeSinceMs = nowMs;
    record.holdsHostMemory = holdsHostMemory(to, record.holdsHostMemory);
    this.devices.onMoved(record.spec, to);
    this.journal({ kind: "state changed", model: record.spec.id, from: from.kind, to, lastedMs }, nowMs);
  }
}

/** What others may see of a record. */
export function modelSnapshot(record: ModelRecord, boundMs: number | null): ModelSnapshot {
  return {
    id: record.spec.id,
    devices: record.spec.devices,
    sleepLevel: record.spec.sleepLevel,
    state: record.state,
    stateSinceMs: record.stateSinceMs,
    waiting: record.queue.length,
    oldestEnqueuedAtMs: record.queue.oldest?.enqueuedAtMs ?? null,
    inFlight: record.leases.size,
    suspended: record.suspendedSinceMs === null ? 0 : record.leases.size,
    priority: record.spec.priority ?? "normal",
    pinned: record.spec.pinned === true,
    memory: { ...record.memory },
    boundMs,
    failuresInRow: record.failuresInRow,
    lastFailure: record.lastFailure,
  };
}

/** Only a move from level 1, or to it, says something of the host's memory; a stop keeps it until the process is gone. */
function holdsHostMemory(to: EngineState, before: boolean): boolean {
  switch (to.kind) {
    case "draining":
    case "falling asleep":
      return to.to === 1;
    case "asleep":
      return to.level === 1;
    case "awake":
    case "stopped":
    case "failed":
      return false;
    case "starting":
    case "waking":
    case "stopping":
      return before;
  }
  return to satisfies never;
}

function newRecord(spec: ModelSpec, island: Island, nowMs: number): ModelRecord {
  return {
    spec,
    state: spec.beginsAsleepAt === undefined ? { kind: "stopped" } : { kind: "asleep", level: spec.beginsAsleepAt },
    stateSinceMs: nowMs,
    awakeSinceMs: nowMs,
    queue: new WaitQueue(),
    leases: new Map(),
    leaseWeight: 0,
    pressingLeaseWeight: 0,
    heldAverageMs: null,
    drainIsSpent: false,
    suspendedSinceMs: null,
    suspendedTimer: null,
    lastUsedAtMs: nowMs,
    memory: newFigures(spec),
    holdsHostMemory: spec.beginsAsleepAt === 1,
    credit: 0,
    island,
    failuresInRow: 0,
    lastFailure: null,
    retryAtMs: nowMs,
    failedStops: 0,
    switch: null,
    drainTimer: null,
    stopTimer: null,
    idleTimer: null,
  };
}
