/** What the policy gets to see: the models that are not awake and for which somebody waits, and who would have to leave for them. */
import { assert } from "../base/assert.ts";
import { wakesFrom } from "./engine-state.ts";
import type { Engines, ModelRecord } from "./engines.ts";
import type { ForcedCredit } from "./forced-credit.ts";
import type { Island } from "./island.ts";
import type { ModelId } from "./model.ts";
import { loadOf } from "./placement.ts";
import type { Candidate, Resident } from "./policy.ts";
import type { SwitchCosts } from "./switch-cost.ts";
import type { Switches } from "./switches.ts";
import type { Visits } from "./visits.ts";

interface Parts {
  readonly engines: Engines;
  readonly switches: Switches;
  readonly costs: SwitchCosts;
  readonly visits: Visits;
  readonly forcedCredit: ForcedCredit | null;
}

/** All candidates of an island. Costs as much as there are models with waiters on it, however many models there are. */
export function candidatesOn(island: Island, parts: Parts, nowMs: number): Candidate[] {
  const found: Candidate[] = [];
  // Most candidates would have the same ones leave.
  const residents = new Map<ModelId, Resident>();
  for (const record of island.waiting)
    if (isCandidate(record)) found.push(candidateOf(record, parts, nowMs, residents));
  return found;
}

/** True for one that is neither awake nor on its way. */
export function isCandidate(record: ModelRecord): boolean {
  return record.state.kind !== "awake" && record.switch?.target !== record.spec.id;
}

/** One candidate. `residents` keeps what was found for others at the same moment. */
export function candidateOf(
  record: ModelRecord,
  parts: Parts,
  nowMs: number,
  residents: Map<ModelId, Resident> = new Map(),
): Candidate {
  const { engines, switches, costs, visits, forcedCredit } = parts;
  const { spec, queue, suspendedSinceMs } = record;
  const { victims, obstacle } = switches.outlookFor(record, nowMs);
  const suspended = suspendedSinceMs === null ? 0 : record.leases.size;
  const suspendedWeight = suspendedSinceMs === null ? 0 : record.leaseWeight;
  const oldestEnqueuedAtMs = Math.min(queue.oldest?.enqueuedAtMs ?? Infinity, suspendedSinceMs ?? Infinity);
  assert(oldestEnqueuedAtMs < Infinity, `${spec.id} has no waiter`);
  return {
    model: spec.id,
    devices: spec.devices,
    waiting: queue.length + suspended,
    weight: queue.weight + suspendedWeight,
    pressingWeight: queue.pressingWeight + suspendedWeight,
    oldestEnqueuedAtMs,
    weightedEnqueuedAtMs: queue.weightedEnqueuedAtMs + suspendedWeight * (suspendedSinceMs ?? 0),
    obstacle,
    victims: victims.map((id) => residentOf(engines.get(id), residents)),
    switchCostMs: costs.estimateMs(victims, spec.id, wakesFrom(record.state)),
    switchBackCostMs: Math.max(
      0,
      ...victims.map((id) => costs.estimateMs([spec.id], id, engines.get(id).spec.sleepLevel)),
    ),
    visitMs: visits.estimateMs(spec.id),
    forcedCreditMs: forcedCredit?.available(spec.devices, nowMs) ?? 0,
  };
}

function residentOf(record: ModelRecord, residents: Map<ModelId, Resident>): Resident {
  const known = residents.get(record.spec.id);
  if (known !== undefined) return known;
  const { spec, awakeSinceMs, leases, queue } = record;
  const resident: Resident = {
    model: spec.id,
    awakeSinceMs,
    inFlight: leases.size,
    waiting: queue.length,
    load: loadOf(record),
  };
  residents.set(spec.id, resident);
  return resident;
}
