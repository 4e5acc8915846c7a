/** What must always hold inside the scheduler, looked at all at once. For tests and the simulation: it costs time. */
import { assert } from "../base/assert.ts";
import type { Admission } from "./admission.ts";
import type { Device } from "./devices.ts";
import type { Engines, ModelRecord } from "./engines.ts";
import { inTransition, isResident } from "./engine-state.ts";
import type { DeviceId } from "./model.ts";
import type { Snapshot } from "./snapshot.ts";
import type { Switches } from "./switches.ts";
import type { Timers } from "./timers.ts";

/** All that the scheduler keeps. */
export interface SchedulerParts {
  readonly phase: Snapshot["phase"];
  readonly engines: Engines;
  readonly admission: Admission;
  readonly switches: Switches;
  readonly timers: Timers;
  /** The time for which the one alarm outside is set. */
  readonly armedAtMs: number | null;
}

/** Throws `AssertionError` when something does not hold. */
export function assertInvariants(parts: SchedulerParts): void {
  for (const [id, device] of parts.engines.devices.entries()) assertDevice(id, device, parts);
  let leases = 0;
  let waiting = 0;
  for (const record of parts.engines.all()) {
    assertRecord(record, parts);
    leases += record.leases.size;
    waiting += record.queue.length;
  }
  assert(parts.timers.nextAtMs === parts.armedAtMs, "the alarm is set for another time than the next one's");
  assert(waiting === parts.admission.waiting, "a waiter is in no queue");
  assert(leases <= parts.admission.leasesOut, "a lease has no owner");
  assert(parts.admission.revokedOut <= parts.admission.leasesOut, "a lease is asked back that was handed in");
  if (parts.phase === "running") return;
  assert(waiting === 0, "somebody waits during the shutdown");
  assert(parts.switches.snapshot().length === 0, "a switch goes on during the shutdown");
  if (parts.phase !== "finished") return;
  assert(parts.timers.size === 0, "an alarm is left at the end");
  assert(parts.admission.leasesOut === 0, "a lease is out at the end");
}

function assertDevice(id: DeviceId, device: Readonly<Device>, { engines, switches }: SchedulerParts): void {
  const residents: string[] = [];
  const changing: string[] = [];
  const comingUp: string[] = [];
  for (const { spec, state } of engines.all()) {
    if (!spec.devices.includes(id)) continue;
    assert(device.residents.has(spec.id) === isResident(state), `device ${id} has lost track of ${spec.id}`);
    assert(device.inTransition.has(spec.id) === inTransition(state), `device ${id} has lost track of ${spec.id}`);
    assert(device.sleepers.has(spec.id) === (state.kind === "asleep"), `device ${id} has lost track of ${spec.id}`);
    if (isResident(state)) residents.push(spec.id);
    // What is left of a crashed engine is cleaned up whatever else goes on.
    if (inTransition(state) && state.kind !== "stopping") changing.push(spec.id);
    if (state.kind === "starting" || state.kind === "waking") comingUp.push(spec.id);
  }
  assert(changing.length <= 1, `device ${id}: ${changing.join(" and ")} change at once`);
  assertMemory(id, device, [...residents, ...comingUp], engines);
  const owner = device.switch;
  assert(owner === null || switches.isActive(owner), `device ${id} belongs to a switch that has ended`);
  assert(comingUp.length === 0 || comingUp[0] === owner?.target, `device ${id}: ${comingUp[0]} comes up unasked`);
}

/**
 * Where a size or a need is not known, one model is awake alone. Whether the sums fit is not looked at here: what is measured
 * while others come up may turn out not to.
 */
function assertMemory(id: DeviceId, device: Readonly<Device>, awake: readonly string[], engines: Engines): void {
  const records = awake.map((model) => engines.get(model));
  if (records.some(({ spec, memory }) => memory.needBytes !== (spec.needBytes ?? null))) return;
  const isCounted = device.memoryBytes !== null && records.every(({ memory }) => memory.needBytes !== null);
  assert(isCounted || awake.length <= 1, `device ${id}: ${awake.join(" and ")} are awake together`);
}

function assertRecord(record: ModelRecord, { switches }: SchedulerParts): void {
  const { spec, state, leases, queue } = record;
  const { kind } = state;
  const { suspendedSinceMs } = record;
  const runs = kind === "awake" || kind === "draining" || suspendedSinceMs !== null;
  assert(leases.size === 0 || runs, `${spec.id}: leases while ${kind}`);
  assert(suspendedSinceMs === null || leases.size > 0, `${spec.id}: nothing stands still there`);
  const isOpen = kind === "awake" || kind === "draining";
  assert(suspendedSinceMs === null || !isOpen, `${spec.id}: what runs stands still though it is ${kind}`);
  assert(!record.drainIsSpent || kind === "draining", `${spec.id}: the time of its drain is over while ${kind}`);
  const isFull = leases.size >= (spec.inFlightMax ?? Infinity);
  assert(kind !== "awake" || queue.length === 0 || isFull, `${spec.id}: somebody waits though it is awake`);
  const isWanted = queue.length > 0 || suspendedSinceMs !== null;
  assert(record.island.waiting.has(record) === isWanted, `${spec.id}: its queue is lost`);
  assert(record.switch === null || switches.isActive(record.switch), `${spec.id} is in a switch that has ended`);
  assert(record.drainTimer === null || kind === "draining", `${spec.id}: a limit for a drain while ${kind}`);
  assert(record.stopTimer === null || kind === "stopping", `${spec.id}: a stop is planned while ${kind}`);
}
