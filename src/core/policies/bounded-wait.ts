/**
 * Bounded wait: stay while it pays, go where most is waiting for each second that it costs, and let nobody wait past a bound.
 *
 * | rule, in this order                                                            | the switch goes to        |
 * |--------------------------------------------------------------------------------|---------------------------|
 * | nobody has to leave, or nobody is using who has to                             | the most valuable model   |
 * | the models that are awake have not earned their switch yet (three times the cost; once, for one that is overdue) | nobody |
 * | somebody's oldest request reaches `maxWaitMs`, the switch included             | the most overdue model    |
 * | somebody's oldest request reaches `targetWaitMs`, and the credit pays          | the one that waited longest |
 * | more wait for another model than half of what those who must leave have to do  | the most valuable of such |
 *
 * Value is the weight of the waiting requests, by priority and age, for each second of switch and visit.
 */
import type { DeviceId, ModelId } from "../model.ts";
import type { BoundTerms, Candidate, Decision, Holds, Policy, PolicyView, Verdict } from "../policy.ts";

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
const STAY_COSTS_OVERDUE = 1;

/** A request that has waited so long counts twice. */
const AGE_WEIGHT_MS = 30_000;

/** More than this share of the load of the models that must leave must wait elsewhere. */
const OUTWEIGH_SHARE = 0.5;

/** Credit grows with time; so often is it looked at while somebody waits for it. */
const ASK_AGAIN_MS = 500;

/** Makes the policy. */
export function boundedWait(options: BoundedWaitOptions): Policy {
  return Object.assign((view: PolicyView) => decide(view, options), {
    chooseAgain: (view: PolicyView) => chooseAgain(view, options),
    explain: (view: PolicyView) => explain(view, options),
    boundMs: (terms: BoundTerms) => boundMs(terms, options),
  });
}

interface Considered {
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

interface Rule {
  /** Who is looked at first; on any device only the first one is looked at. */
  readonly order: (a: Considered, b: Considered) => number;
  readonly applies: (candidate: Considered, nowMs: number) => boolean;
  /** The decision, or null when it is not to be made now. */
  readonly decide: (candidate: Considered, nowMs: number, options: BoundedWaitOptions) => Decision | null;
}

const byValue: Rule["order"] = (a, b) => b.value - a.value;
const byAge: Rule["order"] = (a, b) => a.candidate.oldestEnqueuedAtMs - b.candidate.oldestEnqueuedAtMs;

const RULES: readonly Rule[] = [
  {
    order: byValue,
    applies: ({ load }) => load === 0,
    decide: (to) =>
      switchTo(to, to.candidate.victims.length === 0 ? "nobody has to leave for it" : `nobody uses ${names(to)}`),
  },
  {
    order: byAge,
    applies: ({ isOverdue }) => isOverdue,
    decide: (to, nowMs) =>
      to.stayedOverdueAtMs <= nowMs
        ? switchTo(to, `its oldest request has waited ${waited(to, nowMs)} and may wait no longer`)
        : null,
  },
  {
    order: byAge,
    applies: ({ targetAtMs }, nowMs) => targetAtMs <= nowMs,
    decide(to, nowMs, options) {
      if (to.stayedAtMs > nowMs || !hasCredit(to, options)) return null;
      const because = `its oldest request has waited ${waited(to, nowMs)}, and there is credit for the switch`;
      return switchTo(to, because, forcedCostMs(to));
    },
  },
  {
    order: byValue,
    applies: outweighs,
    decide(to, nowMs) {
      if (to.stayedAtMs > nowMs) return null;
      return switchTo(
        to,
        `${to.candidate.waiting} wait for it, more than half of the ${rounded(to.load)} that ${names(to)} must do`,
      );
    },
  },
];

function decide({ nowMs, candidates }: PolicyView, options: BoundedWaitOptions): Decision {
  const all = candidates.map((candidate) => consider(candidate, nowMs, options));
  const keepers = keepersOfDevices(all);
  const free = all.filter((one) => one.candidate.obstacle === null && !isKeptOut(one, keepers));
  for (const { order, applies, decide: decideFor } of RULES) {
    let left = free.filter((one) => applies(one, nowMs));
    for (let first = firstOf(left, order); first !== null; first = firstOf(left, order)) {
      const decision = decideFor(first, nowMs, options);
      if (decision !== null) return decision;
      left = withoutThoseOn(first.candidate.devices, left);
    }
  }
  return { kind: "stay", askAgainAtMs: askAgainAt(free, nowMs, options), holds: holdsFor(free, keepers, nowMs) };
}

/** The first of them in this order, and of equals the first in the list; null of none. To sort them all would cost more. */
function firstOf(all: readonly Considered[], order: Rule["order"]): Considered | null {
  let first: Considered | null = null;
  for (const one of all) if (first === null || order(one, first) < 0) first = one;
  return first;
}

/** Those behind the first one on a device are not looked at. */
function withoutThoseOn(devices: readonly DeviceId[], left: readonly Considered[]): Considered[] {
  return left.filter(({ candidate }) => !candidate.devices.some((device) => devices.includes(device)));
}

function consider(candidate: Candidate, nowMs: number, options: BoundedWaitOptions): Considered {
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
function outweighs({ candidate: { pressingWeight }, load }: Considered): boolean {
  return pressingWeight > OUTWEIGH_SHARE * load;
}

/**
 * An overdue candidate keeps its devices until it can go: others would else take them one after the other, and one that
 * needs several at once would never find them all free.
 */
function keepersOfDevices(all: readonly Considered[]): ReadonlyMap<DeviceId, ModelId> {
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

function isKeptOut({ candidate: { model, devices } }: Considered, keepers: ReadonlyMap<DeviceId, ModelId>): boolean {
  return keepers.size > 0 && devices.some((device) => (keepers.get(device) ?? model) !== model);
}

/** The first moment at which time alone can change the answer; null while only an engine can. */
function askAgainAt(free: readonly Considered[], nowMs: number, options: BoundedWaitOptions): number | null {
  let atMs = Infinity;
  for (const candidate of free) {
    const { overdueAtMs, stayedOverdueAtMs, targetAtMs, stayedAtMs } = candidate;
    const forcedAtMs = Math.max(targetAtMs, stayedAtMs, hasCredit(candidate, options) ? 0 : nowMs + ASK_AGAIN_MS);
    const outweighsAtMs = outweighs(candidate) ? stayedAtMs : mayOutweighAt(candidate, nowMs);
    for (const dueAtMs of [Math.max(overdueAtMs, stayedOverdueAtMs), forcedAtMs, outweighsAtMs]) {
      // What is due already waits for another one that comes first.
      atMs = Math.min(atMs, dueAtMs > nowMs ? dueAtMs : nowMs + ASK_AGAIN_MS);
    }
  }
  return atMs === Infinity ? null : atMs;
}

/** Who does not outweigh them yet may do so by the time at which they have stayed long enough. */
function mayOutweighAt({ stayedAtMs }: Considered, nowMs: number): number {
  return stayedAtMs <= nowMs ? Infinity : Math.max(stayedAtMs, nowMs + ASK_AGAIN_MS);
}

/**
 * Only the last rule depends on how much waits and runs. Its two sides may move towards each other until they meet half-way. Where
 * the heaviest queue weighs more than half of the lightest load, which is another one's, neither may move past the other's. A
 * candidate for whom somebody has not stayed long enough is looked at again when that is over.
 */
function holdsFor(free: readonly Considered[], keepers: ReadonlyMap<DeviceId, ModelId>, nowMs: number): Holds {
  let weightMax = 0;
  let loadMin = Infinity;
  for (const { stayedAtMs, candidate, load } of free) {
    if (stayedAtMs > nowMs) continue;
    weightMax = Math.max(weightMax, candidate.pressingWeight);
    loadMin = Math.min(loadMin, load);
  }
  const enough = OUTWEIGH_SHARE * loadMin;
  const halfWay = (weightMax + enough) / 2;
  return {
    pressingWeightAtMost: Math.min(enough, halfWay),
    loadAtLeast: loadMin === Infinity ? 0 : Math.max(weightMax, halfWay) / OUTWEIGH_SHARE,
    keptDevices: new Set(keepers.keys()),
    // Only an overdue one keeps others from their turn.
    leaversMatter: keepers.size > 0,
  };
}

function chooseAgain({ nowMs, candidates }: PolicyView, options: BoundedWaitOptions): ModelId {
  const all = candidates.map((candidate) => consider(candidate, nowMs, options));
  const overdue = all.filter(({ isOverdue }) => isOverdue).sort(byAge);
  const [first] = overdue.length > 0 ? overdue : all.sort(byValue);
  return first?.candidate.model ?? "";
}

/**
 * Once its oldest request is overdue a model's turn comes after what is under way and after those who were overdue before it:
 * one turn of every other model, and one for each further batch of older requests. A turn is what the one that is awake may
 * still stay, its drain, and the switch. One that takes several devices may have to wait for a turn on each.
 */
function boundMs(terms: BoundTerms, { maxWaitMs }: BoundedWaitOptions): number | null {
  const { otherModels, olderWaiting, inFlightMax, switchCostMaxMs, drainMaxMs, devicesMax } = terms;
  if (drainMaxMs === null) return null;
  const turns = 2 + otherModels + Math.ceil(olderWaiting / inFlightMax);
  const turnMs = STAY_COSTS_OVERDUE * switchCostMaxMs + drainMaxMs + switchCostMaxMs;
  return maxWaitMs + turns * turnMs * (devicesMax > 1 ? 1 + devicesMax : 1);
}

function explain({ nowMs, candidates }: PolicyView, options: BoundedWaitOptions): readonly Verdict[] {
  const all = candidates.map((candidate) => consider(candidate, nowMs, options));
  const keepers = keepersOfDevices(all);
  return all
    .toSorted((a, b) => Number(b.isOverdue) - Number(a.isOverdue) || byValue(a, b))
    .map((one) => ({
      model: one.candidate.model,
      weighed: weighed(one, nowMs),
      keptBy: keptBy(one, keepers, nowMs, options),
    }));
}

function weighed(one: Considered, nowMs: number): string {
  const { waiting, switchCostMs, visitMs } = one.candidate;
  const worth = Number((one.value * 1000).toPrecision(2));
  return (
    `${waiting} ${waiting === 1 ? "waits" : "wait"}, the oldest for ${waited(one, nowMs)}; the switch costs ` +
    `${seconds(switchCostMs)} and its visit lasts about ${seconds(visitMs)}: worth ${worth} requests a second`
  );
}

function keptBy(
  one: Considered,
  keepers: ReadonlyMap<DeviceId, ModelId>,
  nowMs: number,
  options: BoundedWaitOptions,
): string | null {
  const { candidate, load, isOverdue, stayedAtMs, stayedOverdueAtMs, targetAtMs } = one;
  const { model, obstacle, devices, pressingWeight, forcedCreditMs } = candidate;
  if (obstacle !== null) return obstacle;
  const keeper = devices.map((device) => keepers.get(device)).find((id) => id !== undefined && id !== model);
  if (keeper !== undefined) return `${keeper} is overdue and comes first`;
  if (load === 0) return null;
  const readyAtMs = isOverdue ? stayedOverdueAtMs : stayedAtMs;
  if (readyAtMs > nowMs) return `${names(one)} is in use and may stay for another ${seconds(readyAtMs - nowMs)}`;
  if (isOverdue || outweighs(one)) return null;
  const half = `${rounded(pressingWeight)} wait for it, and more than half of the ${rounded(load)} that ${names(one)} must do would have to`;
  if (targetAtMs > nowMs) return `${half}; in ${seconds(targetAtMs - nowMs)} it may force a switch`;
  if (hasCredit(one, options)) return null;
  const needed = `${seconds(neededCreditMs(one, options))} (there is ${seconds(forcedCreditMs)})`;
  return `${half}; it may force a switch when there is credit of ${needed}`;
}

function forcedCostMs({ candidate: { switchCostMs, switchBackCostMs } }: Considered): number {
  return switchCostMs + switchBackCostMs;
}

function neededCreditMs(one: Considered, { forcedCreditMaxMs = Infinity }: BoundedWaitOptions): number {
  return Math.min(forcedCostMs(one), forcedCreditMaxMs);
}

function hasCredit(one: Considered, options: BoundedWaitOptions): boolean {
  return one.candidate.forcedCreditMs >= neededCreditMs(one, options);
}

function switchTo({ candidate: { model } }: Considered, because: string, forcedMs = 0): Decision {
  return { kind: "switch", to: model, because, forcedCostMs: forcedMs };
}

function names({ candidate: { victims } }: Considered): string {
  return victims.map(({ model }) => model).join(" and ");
}

function waited({ candidate: { oldestEnqueuedAtMs } }: Considered, nowMs: number): string {
  return seconds(nowMs - oldestEnqueuedAtMs);
}

function seconds(durationMs: number): string {
  return `${(durationMs / 1000).toFixed(1)} s`;
}

function rounded(weight: number): number {
  return Math.round(weight * 100) / 100;
}
