/** Who would have to leave for a model, and what is in the way of that. */
import { isAway } from "./engine-state.ts";
import type { Engines, ModelRecord } from "./engines.ts";
import type { DeviceId, ModelId } from "./model.ts";
import { placementFor, type Placement, type PlacementView } from "./placement.ts";

/** How a switch to a model looks at one moment. */
export interface Outlook {
  /** Who would have to leave. */
  readonly victims: readonly ModelId[];
  /** Whether the process of somebody would end for it. */
  readonly endsOthers: boolean;
  /** Why it cannot begin now, in words; null when it can. */
  readonly obstacle: string | null;
  /** False when the model could not be awake whoever left. */
  readonly isPossible: boolean;
}

interface OnDevices {
  readonly obstacle: string | null;
  readonly draining: readonly ModelId[];
}

/** What was found out at one moment, and is the same for all models that share their devices, or need as much there. */
export interface OutlookMemo {
  readonly placements: Map<string, Placement>;
  readonly onDevices: Map<string, OnDevices>;
  readonly leaving: Map<Placement, string | null>;
}

/** Nothing found out yet. */
export function newOutlookMemo(): OutlookMemo {
  return { placements: new Map(), onDevices: new Map(), leaving: new Map() };
}

/** Devices as the key of a map. */
export function keyOf(devices: readonly DeviceId[]): string {
  const [only = ""] = devices;
  return devices.length === 1 ? only : devices.join(",");
}

/** The outlook at this moment; `memo` is of the same moment. */
export function outlookFor(target: ModelRecord, view: PlacementView, memo: OutlookMemo): Outlook {
  const placement = placementIn(target, view, memo);
  if (placement.kind === "impossible") {
    return { victims: [], endsOthers: false, obstacle: placement.because, isPossible: false };
  }
  const { victims, stops, ends } = placement;
  const obstacle = obstacleTo(target, placement, view.engines, memo);
  return { victims, endsOthers: stops.length + ends.length > 0, obstacle, isPossible: true };
}

/** Where the target could be awake, as `placementFor` says. */
export function placementIn(target: ModelRecord, view: PlacementView, memo: OutlookMemo): Placement {
  const { spec, memory, state } = target;
  // What it leaves behind itself makes no difference to it, only to others.
  const ownBytes = state.kind === "asleep" ? memory.residueBytes : 0;
  const key = `${keyOf(spec.devices)} ${memory.needBytes} ${ownBytes}`;
  const known = memo.placements.get(key);
  if (known !== undefined) return known;
  const placement = placementFor(target, view);
  // One that names sleepers might name the next one who asks.
  if (placement.kind === "possible" && placement.stops.length === 0) memo.placements.set(key, placement);
  return placement;
}

/** Why a switch with this placement cannot begin now, in words; null when it can. */
export function obstacleTo(
  target: ModelRecord,
  placement: Extract<Placement, { kind: "possible" }>,
  engines: Engines,
  memo: OutlookMemo,
): string | null {
  const { obstacle, draining } = onDevicesOf(target, engines, memo);
  if (obstacle !== null) return obstacle;
  if (!isAway(target.state)) return `its engine is ${target.state.kind}`;
  // One that was ordered to sleep will change its memory as soon as its requests have ended.
  const busy = draining.find((id) => id !== target.spec.id);
  if (busy !== undefined) return `${busy} is draining`;
  const known = memo.leaving.get(placement);
  if (known !== undefined) return known;
  const found = obstacleToLeaving(placement, engines);
  memo.leaving.set(placement, found);
  return found;
}

function onDevicesOf({ spec }: ModelRecord, engines: Engines, memo: OutlookMemo): OnDevices {
  const { devices } = engines;
  const key = keyOf(spec.devices);
  const known = memo.onDevices.get(key);
  if (known !== undefined) return known;
  const draining: ModelId[] = [];
  for (const { residents } of devices.of(spec)) {
    for (const id of residents) if (engines.get(id).state.kind === "draining") draining.push(id);
  }
  const found = { obstacle: devices.obstacleFor(spec), draining };
  memo.onDevices.set(key, found);
  return found;
}

function obstacleToLeaving(
  { victims, stops }: Extract<Placement, { kind: "possible" }>,
  engines: Engines,
): string | null {
  const { devices } = engines;
  for (const id of victims) {
    const victim = engines.get(id);
    if (victim.state.kind !== "awake") return `${id} is ${victim.state.kind}`;
    // A victim that spans more devices than the target must be free to leave all of them.
    const obstacle = devices.obstacleFor(victim.spec);
    if (obstacle !== null) return obstacle;
  }
  for (const id of stops) {
    const obstacle = devices.obstacleFor(engines.get(id).spec);
    if (obstacle !== null) return obstacle;
  }
  return null;
}
