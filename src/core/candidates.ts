/** What the policy gets to see: the models that are not awake and for which somebody waits, and who would have to leave for them. */
import { assert } from "../base/assert.ts";
import type { DrainTimes } from "./drain-times.ts";
import { wakesFrom } from "./engine-state.ts";
import type { Engines, ModelRecord } from "./engines.ts";
import type { ForcedCredit } from "./forced-credit.ts";
import type { Island } from "./island.ts";
import type { DeviceId, ModelId } from "./model.ts";
import { loadOf } from "./placement.ts";
import type { Candidate, Resident } from "./policy.ts";
import type { SwitchCosts } from "./switch-cost.ts";
import { keyOf, newOutlookMemo, type OutlookMemo } from "./outlook.ts";
import type { Switches } from "./switches.ts";
import type { Visits } from "./visits.ts";

interface Parts {
  readonly engines: Engines;
  readonly switches: Switches;
  readonly costs: SwitchCosts;
  readonly visits: Visits;
  readonly drainTimes: DrainTimes;
  readonly forcedCredit: ForcedCredit | null;
}

/** What was found out at one moment and holds for several candidates: most would have the same ones leave. */
export interface Moment {
  readonly nowMs: number;
  readonly victims: Map<readonly ModelId[], readonly Resident[]>;
  readonly outlooks: OutlookMemo;
  readonly credits: Map<string, number>;
  /** Those that could not be awake whoever left, as beside a pinned model. */
  readonly impossible: Set<Candidate>;
}

/** Nothing found out yet. */
export function newMoment(nowMs: number): Moment {
  return { nowMs, victims: new Map(), outlooks: newOutlookMemo(), credits: new Map(), impossible: new Set() };
}

/**
 * All candidates of an island; the impossible ones apart, since nobody must wait behind them. Costs as much as there are models
 * with waiters on it, however many models there are.
 */
export function candidatesOn(
  island: Island,
  parts: Parts,
  nowMs: number,
): { readonly possible: readonly Candidate[]; readonly impossible: readonly Candidate[] } {
  // After nearly every request that ends.
  if (island.waiting.size === 0) return NONE;
  const moment = newMoment(nowMs);
  const found: Candidate[] = [];
  for (const record of island.waiting) if (isCandidate(record)) found.push(candidateOf(record, parts, moment));
  const { impossible } = moment;
  if (impossible.size === 0) return { possible: found, impossible: [] };
  return { possible: found.filter((candidate) => !impossible.has(candidate)), impossible: [...impossible] };
}

const NONE = { possible: [], impossible: [] } as const;

/** True for one that is neither awake nor on its way. */
export function isCandidate(record: ModelRecord): boolean {
  return record.state.kind !== "awake" && record.switch?.target !== record.spec.id;
}

/** One candidate. */
export function candidateOf(record: ModelRecord, parts: Parts, moment: Moment): Candidate {
  const { engines, switches, costs, visits, drainTimes } = parts;
  const { spec, queue, suspendedSinceMs } = record;
  const { victims, obstacle, isPossible } = switches.outlookFor(record, moment.nowMs, moment.outlooks);
  const isSuspended = suspendedSinceMs !== null;
  const suspendedWeight = isSuspended ? record.leaseWeight : 0;
  const oldestEnqueuedAtMs = Math.min(queue.oldest?.enqueuedAtMs ?? Infinity, suspendedSinceMs ?? Infinity);
  assert(oldestEnqueuedAtMs < Infinity, "a model without a waiter is no candidate");
  let switchBackCostMs = 0;
  let drainMs = 0;
  for (const id of victims) {
    if (engines.get(id).leases.size > 0) drainMs = Math.max(drainMs, drainTimes.estimateMs(id));
    switchBackCostMs = Math.max(switchBackCostMs, costs.estimateMs([spec.id], id, engines.get(id).spec.sleepLevel));
  }
  const candidate: Candidate = {
    model: spec.id,
    devices: spec.devices,
    waiting: queue.length + (isSuspended ? record.leases.size : 0),
    weight: queue.weight + suspendedWeight,
    pressingWeight: queue.pressingWeight + (isSuspended ? record.pressingLeaseWeight : 0),
    oldestEnqueuedAtMs,
    weightedEnqueuedAtMs: queue.weightedEnqueuedAtMs + suspendedWeight * (suspendedSinceMs ?? 0),
    obstacle,
    victims: residentsOf(victims, engines, moment),
    switchCostMs: costs.estimateMs(victims, spec.id, wakesFrom(record.state)),
    switchBackCostMs,
    drainMs,
    visitMs: visits.estimateMs(spec.id),
    forcedCreditMs: creditOf(spec.devices, parts, moment),
  };
  if (!isPossible) moment.impossible.add(candidate);
  return candidate;
}

function creditOf(devices: readonly DeviceId[], { forcedCredit }: Parts, { credits, nowMs }: Moment): number {
  if (forcedCredit === null) return 0;
  const key = keyOf(devices);
  const known = credits.get(key);
  if (known !== undefined) return known;
  const creditMs = forcedCredit.available(devices, nowMs);
  credits.set(key, creditMs);
  return creditMs;
}

function residentsOf(ids: readonly ModelId[], engines: Engines, { victims }: Moment): readonly Resident[] {
  const known = victims.get(ids);
  if (known !== undefined) return known;
  const residents = ids.map((id) => residentOf(engines.get(id)));
  victims.set(ids, residents);
  return residents;
}

function residentOf(record: ModelRecord): Resident {
  const { spec, awakeSinceMs, leases, queue } = record;
  return { model: spec.id, awakeSinceMs, inFlight: leases.size, waiting: queue.length, load: loadOf(record) };
}
