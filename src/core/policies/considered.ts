/** How bounded wait sees a candidate: what it is worth, when its time is up, and how long those who are awake may stay. */
import type { DeviceId, ModelId } from "../model.ts";
import type { Candidate } from "../policy.ts";

/** All in ms; `targetWaitMs` < `maxWaitMs`. */
export interface BoundedWaitOptions {
  /** An older request may force a switch, as long as there is credit for forced switches. */
  readonly targetWaitMs: number;
  /** An older request does force one. */
  readonly maxWaitMs: number;
  /** As much credit can be saved up: a dearer switch may be forced with this much, and is paid off afterwards. */
  readonly forcedCreditMaxMs?: number;
}

/** A model stays until it has been awake for so many times the cost of the switch away from it. */
const STAY_COSTS = 3;

/** The same where somebody is overdue. */
export const STAY_COSTS_OVERDUE = 1;

/** A request that has waited so long counts twice. */
const AGE_WEIGHT_MS = 30_000;

/** More than this share of the load of the models that must leave must wait elsewhere. */
export const OUTWEIGH_SHARE = 0.5;

/** What the rules look at. */
export interface Considered {
  readonly candidate: Candidate;
  /** Waiting requests, weighed by priority and age, for each ms of switch and visit. */
  readonly value: number;
  /** A switch must begin by then, or the oldest request waits past the bound. */
  readonly overdueAtMs: number;
  readonly targetAtMs: number;
  readonly isOverdue: boolean;
  /** What those who would have to leave still have to do: requests in flight and in their queues. */
  readonly load: number;
  /** From then on those who would have to leave have stayed long enough, for a switch that pays and for an overdue one. */
  readonly stayedAtMs: number;
  readonly stayedOverdueAtMs: number;
}

/** Who comes first of two. */
export type Order = (a: Considered, b: Considered) => number;

/** The more valuable one. */
export const byValue: Order = (a, b) => b.value - a.value;

/** The one whose oldest request has waited longer. */
export const byAge: Order = (a, b) => a.candidate.oldestEnqueuedAtMs - b.candidate.oldestEnqueuedAtMs;

/** Looks at one candidate. */
export function consider(candidate: Candidate, nowMs: number, options: BoundedWaitOptions): Considered {
  const { oldestEnqueuedAtMs, switchCostMs, drainMs, visitMs, victims } = candidate;
  // Who begins at the last moment comes too late by the drain and the switch.
  const leadMs = drainMs + switchCostMs;
  const overdueAtMs = oldestEnqueuedAtMs + options.maxWaitMs - leadMs;
  // To stay for longer than anybody is meant to wait would be to pay for one switch with another.
  const stayMs = Math.min(STAY_COSTS * switchCostMs, Math.max(options.targetWaitMs, switchCostMs));
  let load = 0;
  let awakeSinceMs = -Infinity;
  for (const victim of victims) {
    load += victim.load;
    awakeSinceMs = Math.max(awakeSinceMs, victim.awakeSinceMs);
  }
  return {
    candidate,
    value: weightAt(candidate, nowMs) / (switchCostMs + visitMs),
    overdueAtMs,
    targetAtMs: oldestEnqueuedAtMs + options.targetWaitMs - leadMs,
    isOverdue: overdueAtMs <= nowMs,
    load,
    stayedAtMs: awakeSinceMs + stayMs,
    stayedOverdueAtMs: awakeSinceMs + STAY_COSTS_OVERDUE * switchCostMs,
  };
}

function weightAt({ weight, weightedEnqueuedAtMs }: Candidate, nowMs: number): number {
  return weight + (weight * nowMs - weightedEnqueuedAtMs) / AGE_WEIGHT_MS;
}

/** Low requests do not count here: they wait until nobody uses the model that is awake, or until `targetWaitMs`. */
export function outweighs({ candidate: { pressingWeight }, load }: Considered): boolean {
  return pressingWeight > OUTWEIGH_SHARE * load;
}

/** The first of them in this order, and of equals the first in the list; null of none. To sort them all would cost more. */
export function firstOf(all: readonly Considered[], order: Order): Considered | null {
  let first: Considered | null = null;
  for (const one of all) if (first === null || order(one, first) < 0) first = one;
  return first;
}

/** Those behind the first one on a device are not looked at. */
export function withoutThoseOn(devices: readonly DeviceId[], left: readonly Considered[]): Considered[] {
  return left.filter(({ candidate }) => !candidate.devices.some((device) => devices.includes(device)));
}

/**
 * An overdue candidate keeps its devices until it can go: others would else take them one after the other, and one that
 * needs several at once would never find them all free.
 */
export function keepersOfDevices(all: readonly Considered[]): ReadonlyMap<DeviceId, ModelId> {
  const keepers = new Map<DeviceId, ModelId>();
  let left = all.filter(({ isOverdue }) => isOverdue);
  for (let first = firstOf(left, byAge); first !== null; first = firstOf(left, byAge)) {
    const { model, devices } = first.candidate;
    for (const device of devices) if (!keepers.has(device)) keepers.set(device, model);
    // Who has no device of its own left keeps none.
    left = left.filter(({ candidate }) => candidate.devices.some((device) => !keepers.has(device)));
  }
  return keepers;
}

/** Whether another one keeps a device of it. */
export function isKeptOut(
  { candidate: { model, devices } }: Considered,
  keepers: ReadonlyMap<DeviceId, ModelId>,
): boolean {
  return keepers.size > 0 && devices.some((device) => (keepers.get(device) ?? model) !== model);
}

/** What a forced switch to it takes from the credit: there and back, in ms. */
export function forcedCostMs({ candidate: { switchCostMs, switchBackCostMs } }: Considered): number {
  return switchCostMs + switchBackCostMs;
}

/** How much credit must be there for that, in ms. */
export function neededCreditMs(one: Considered, { forcedCreditMaxMs = Infinity }: BoundedWaitOptions): number {
  return Math.min(forcedCostMs(one), forcedCreditMaxMs);
}

/** Whether there is that much. */
export function hasCredit(one: Considered, options: BoundedWaitOptions): boolean {
  return one.candidate.forcedCreditMs >= neededCreditMs(one, options);
}
