/**
 * Who must go before a model can be awake. Pure: looks at what is where and changes nothing.
 *
 * On a device whose memory is known several models are awake together as long as their needs, and what sleepers leave behind,
 * fit into it. Where a size or a need is not known, one model is awake alone. If room must be made, these go first:
 *
 * 1. models that are awake and not used: first the one that is cheapest to bring back for each second for which nobody has
 *    asked for it, of those that can leave now;
 * 2. the processes of sleepers for whom nobody waits, since what they leave behind adds up: lowest credit first;
 * 3. models in use, the least loaded first;
 * 4. sleepers for whom somebody waits, and at last those on which requests stand still.
 *
 * Who turns out not to be needed stays, the dearest first. A pinned model never goes. Where even what those who leave would leave
 * behind is too much, their processes end.
 */
import { assert } from "../base/assert.ts";
import type { Device } from "./devices.ts";
import type { Engines, ModelRecord } from "./engines.ts";
import { sizeText } from "./memory.ts";
import type { DeviceId, ModelId } from "./model.ts";
import type { Switch } from "./switch.ts";

/** What making room takes. */
export type Placement =
  | {
      readonly kind: "possible";
      /** They are awake, and must be drained and put away. */
      readonly victims: readonly ModelId[];
      /** Those of them that must not leave anything behind: their processes end. */
      readonly ends: readonly ModelId[];
      /** They sleep, and their processes must end. */
      readonly stops: readonly ModelId[];
    }
  | { readonly kind: "impossible"; readonly because: string };

/** What the placement looks at beside the records. */
export interface PlacementView {
  readonly engines: Engines;
  readonly nowMs: number;
  /** What it costs to bring a model back, in ms. */
  readonly wakeCostMs: (record: ModelRecord) => number;
  /** Its victims have closed their gates already: they go before all others. */
  readonly within?: Switch;
  /** Sleepers count also where memory cannot be counted. */
  readonly everywhere?: true;
}

/** What must happen so that `target` has its memory. The same view gives the same answer. */
export function placementFor(target: ModelRecord, view: PlacementView): Placement {
  const { devices } = view.engines;
  const room = new Room(target, view);
  const beside = [...devices.residentsBeside(target.spec)].map((id) => view.engines.get(id));
  const victims = beside.filter((record) => room.mustBeAlone(record));
  const pinned = victims.find(({ spec }) => spec.pinned === true);
  if (pinned !== undefined) {
    return { kind: "impossible", because: `${pinned.spec.id} is pinned, and not both can be awake` };
  }
  for (const record of victims) room.take(record);
  const chosen: ModelRecord[] = [];
  if (room.shortOn() !== null) {
    for (const record of movesInOrder(target, beside, view)) {
      if (victims.includes(record) || !room.isShortWhere(record)) continue;
      room.take(record);
      chosen.push(record);
      if (room.shortOn() === null) break;
    }
    if (room.shortOn() === null) {
      for (const record of chosen.toReversed()) {
        room.giveBack(record);
        if (room.shortOn() === null) chosen.splice(chosen.indexOf(record), 1);
        else room.take(record);
      }
    }
  }
  const ends: ModelRecord[] = [];
  for (const record of [...victims, ...chosen]) {
    if (room.shortOn() === null) break;
    if (!leavesResidue(record) || !room.isShortWhere(record)) continue;
    room.takeResidue(record);
    // What is only believed is put to the test: a wake that finds too little memory after all makes room for itself.
    if (record.memory.residueIsMeasured) ends.push(record);
  }
  const short = room.shortOn();
  if (short !== null) return { kind: "impossible", because: room.explain(short) };
  const all = [...victims, ...chosen];
  const ids = (state: (record: ModelRecord) => boolean): ModelId[] => all.filter(state).map(({ spec }) => spec.id);
  return {
    kind: "possible",
    victims: ids((record) => record.state.kind !== "asleep"),
    ends: ends.map(({ spec }) => spec.id),
    stops: ids((record) => record.state.kind === "asleep"),
  };
}

/**
 * Who could be given up for `target` after a wake of it has run out of memory: of those who can go the cheapest with whom it would
 * have enough, going by what was free then (null: not known); where nobody has so much, the one who has most.
 */
export function oneMoreFor(
  target: ModelRecord,
  view: PlacementView,
  freeBytes: number | null,
  canGo: (record: ModelRecord) => boolean,
): ModelRecord | null {
  const { devices } = view.engines;
  const beside = [...devices.residentsBeside(target.spec)].map((id) => view.engines.get(id));
  const able = movesInOrder(target, beside, { ...view, everywhere: true }).filter(canGo);
  const missingBytes = missingFor(target, freeBytes);
  const [first = null] = able;
  const enough = able.find((record) => surelyFreedBytes(record) >= missingBytes);
  if (enough !== undefined) return enough;
  return able.reduce((most, record) => {
    return most !== null && surelyFreedBytes(record) > surelyFreedBytes(most) ? record : most;
  }, first);
}

/** What comes free when it goes, where what a sleeper leaves behind counts only if it has been measured. */
function surelyFreedBytes(record: ModelRecord): number {
  return record.state.kind === "asleep" && !record.memory.residueIsMeasured ? 0 : freedBytes(record);
}

/** How much `target` lacked, in bytes; 0 where that is not known. */
function missingFor({ state, memory }: ModelRecord, freeBytes: number | null): number {
  if (memory.needBytes === null || freeBytes === null) return 0;
  const ownBytes = state.kind === "waking" && memory.residueIsMeasured ? memory.residueBytes : 0;
  return memory.needBytes - ownBytes - freeBytes;
}

/** The memory of the target's devices while it is being made room for. */
class Room {
  readonly #target: ModelRecord;
  /** Of the devices whose memory can be counted. */
  readonly #freeBytes = new Map<DeviceId, number>();
  readonly #exclusive = new Set<DeviceId>();
  readonly #gone = new Set<ModelRecord>();
  readonly #view: PlacementView;

  constructor(target: ModelRecord, view: PlacementView) {
    this.#target = target;
    this.#view = view;
    const { needBytes } = target.memory;
    for (const id of target.spec.devices) {
      const device = view.engines.devices.get(id);
      if (device.memoryBytes === null || needBytes === null) this.#exclusive.add(id);
      else this.#freeBytes.set(id, device.memoryBytes - needBytes - this.#heldBytes(device));
    }
  }

  /** True for those who cannot be awake beside the target, whatever the sums say. */
  mustBeAlone({ spec, memory }: ModelRecord): boolean {
    return memory.needBytes === null || spec.devices.some((id) => this.#exclusive.has(id));
  }

  take(record: ModelRecord): void {
    this.#gone.add(record);
    this.#add(record, freedBytes(record));
  }

  giveBack(record: ModelRecord): void {
    this.#gone.delete(record);
    this.#add(record, -freedBytes(record));
  }

  /** Nothing of it is to be left behind either. */
  takeResidue(record: ModelRecord): void {
    this.#add(record, record.memory.residueBytes);
  }

  /** A device on which there is too little, or null. */
  shortOn(): DeviceId | null {
    for (const [id, bytes] of this.#freeBytes) if (bytes < 0) return id;
    return null;
  }

  /** Whether taking this one away would help where there is too little. */
  isShortWhere({ spec }: ModelRecord): boolean {
    return spec.devices.some((id) => (this.#freeBytes.get(id) ?? 0) < 0);
  }

  explain(id: DeviceId): string {
    const device = this.#view.engines.devices.get(id);
    const { needBytes } = this.#target.memory;
    assert(device.memoryBytes !== null && needBytes !== null, `device ${id} is short of what cannot be counted`);
    const staying = [...device.residents, ...device.sleepers]
      .map((model) => this.#view.engines.get(model))
      .filter((record) => record !== this.#target && !this.#gone.has(record));
    const kept = staying.length === 0 ? "" : `, ${staying.map(({ spec }) => spec.id).join(", ")} must stay,`;
    return `it needs ${sizeText(needBytes)} of GPU ${id}${kept} and that has ${sizeText(device.memoryBytes)} in all`;
  }

  #heldBytes(device: Device): number {
    const { engines } = this.#view;
    let bytes = 0;
    for (const id of device.residents) {
      if (id !== this.#target.spec.id) bytes += engines.get(id).memory.needBytes ?? 0;
    }
    for (const id of device.sleepers) if (id !== this.#target.spec.id) bytes += engines.get(id).memory.residueBytes;
    return bytes;
  }

  #add({ spec }: ModelRecord, bytes: number): void {
    for (const id of spec.devices) {
      const before = this.#freeBytes.get(id);
      if (before !== undefined) this.#freeBytes.set(id, before + bytes);
    }
  }
}

/** What comes free on each device when this one goes: all of it where nothing of it is left behind. */
function freedBytes(record: ModelRecord): number {
  const { state, memory } = record;
  if (state.kind === "asleep") return memory.residueBytes;
  return (memory.needBytes ?? 0) - (leavesResidue(record) ? memory.residueBytes : 0);
}

/** Whether it only falls asleep when it must leave. */
function leavesResidue({ state, spec }: ModelRecord): boolean {
  if (state.kind === "asleep") return false;
  return (state.kind === "draining" ? state.to : spec.sleepLevel) !== 3;
}

/** Everyone who could make room, who goes first first. */
function movesInOrder(target: ModelRecord, beside: readonly ModelRecord[], view: PlacementView): ModelRecord[] {
  const awake = beside.filter(({ spec }) => spec.pinned !== true);
  const closing = awake.filter((record) => view.within?.victims.includes(record.spec.id) === true);
  const open = awake.filter((record) => !closing.includes(record));
  const unused = open.filter((record) => !isUsed(record)).map((record) => ({ record, cost: lossOf(record, view) }));
  // One whose other devices are busy could not leave now.
  const canLeave = ({ spec }: ModelRecord): boolean => view.engines.devices.obstacleFor(spec) === null;
  const used = open.filter(isUsed).map((record) => ({ record, cost: loadOf(record) }));
  const sleepers = sleepersBeside(target, view).map((record) => ({ record, cost: record.credit }));
  return [
    ...closing,
    ...cheapestFirst(unused.filter(({ record }) => canLeave(record))),
    ...cheapestFirst(unused.filter(({ record }) => !canLeave(record))),
    ...cheapestFirst(sleepers.filter(({ record }) => !isUsed(record))),
    ...cheapestFirst(used),
    ...cheapestFirst(sleepers.filter(({ record }) => isUsed(record) && record.suspendedSinceMs === null)),
    // Their requests end with them: better than that nobody goes on.
    ...cheapestFirst(sleepers.filter(({ record }) => record.suspendedSinceMs !== null)),
  ];
}

/** Sleepers that share a device whose memory is counted, and that nothing keeps from being stopped. */
function sleepersBeside({ spec }: ModelRecord, { engines, everywhere, within }: PlacementView): ModelRecord[] {
  const ids = new Set<ModelId>();
  for (const device of engines.devices.of(spec)) {
    if (device.memoryBytes !== null || everywhere === true) for (const id of device.sleepers) ids.add(id);
  }
  ids.delete(spec.id);
  const sleepers = [...ids].map((id) => engines.get(id));
  return sleepers.filter((sleeper) => sleeper.switch === null || sleeper.switch === within);
}

/** In use: something runs on it, or waits for it. */
export function isUsed(record: ModelRecord): boolean {
  return record.leases.size > 0 || record.queue.length > 0;
}

/** What runs on it and waits for it, each request counted by its priority. */
export function loadOf(record: ModelRecord): number {
  return record.leaseWeight + record.queue.weight;
}

/** What it costs to bring it back, for each second for which nobody has wanted it: who rests longest is missed least. */
function lossOf(record: ModelRecord, { nowMs, wakeCostMs }: PlacementView): number {
  return wakeCostMs(record) / (nowMs - record.lastUsedAtMs + 1000);
}

function cheapestFirst(moves: readonly { readonly record: ModelRecord; readonly cost: number }[]): ModelRecord[] {
  return moves.toSorted((a, b) => a.cost - b.cost).map(({ record }) => record);
}
