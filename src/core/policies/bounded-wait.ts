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
import type { BoundTerms, Decision, Holds, Policy, PolicyView } from "../policy.ts";
import { explain, names, rounded, waited } from "./bounded-wait-explained.ts";
import {
  byAge,
  byValue,
  consider,
  firstOf,
  forcedCostMs,
  hasCredit,
  isKeptOut,
  keepersOfDevices,
  outweighs,
  OUTWEIGH_SHARE,
  withoutThoseOn,
  STAY_COSTS_OVERDUE,
  type BoundedWaitOptions,
  type Considered,
  type Order,
} from "./considered.ts";

export type { BoundedWaitOptions } from "./considered.ts";

/** Credit grows with time; so often is it looked at while somebody waits for it. */
const ASK_AGAIN_MS = 500;

/** Makes the policy. */
export function boundedWait(options: BoundedWaitOptions): Policy {
  return Object.assign((view: PolicyView) => decide(view, options), {
    chooseAgain: (view: PolicyView) => chooseAgain(view, options),
    explain: ({ nowMs, candidates }: PolicyView) => {
      const all = candidates.map((candidate) => consider(candidate, nowMs, options));
      return explain(all, keepersOfDevices(all), nowMs, options);
    },
    boundMs: (terms: BoundTerms) => boundMs(terms, options),
  });
}

interface Rule {
  /** Who is looked at first; on any device only the first one is looked at. */
  readonly order: Order;
  readonly applies: (candidate: Considered, nowMs: number) => boolean;
  /** The decision, or null when it is not to be made now. */
  readonly decide: (candidate: Considered, nowMs: number, options: BoundedWaitOptions) => Decision | null;
}

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
  const atMs = Math.min(askAgainAt(free, nowMs, options), keepersChangeAt(all, keepers));
  return { kind: "stay", askAgainAtMs: atMs === Infinity ? null : atMs, holds: holdsFor(free, keepers, nowMs) };
}

/** The first moment at which time alone can change the answer for one of these; Infinity while only an engine can. */
function askAgainAt(free: readonly Considered[], nowMs: number, options: BoundedWaitOptions): number {
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
  return atMs;
}

/** When one that is kept out is overdue itself: if it has waited longer than those who keep it out, it comes before them then. */
function keepersChangeAt(all: readonly Considered[], keepers: ReadonlyMap<DeviceId, ModelId>): number {
  let atMs = Infinity;
  if (keepers.size === 0) return atMs;
  for (const one of all) {
    if (one.isOverdue || one.candidate.obstacle !== null || !isKeptOut(one, keepers)) continue;
    atMs = Math.min(atMs, Math.max(one.overdueAtMs, one.stayedOverdueAtMs));
  }
  return atMs;
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

function switchTo({ candidate: { model } }: Considered, because: string, forcedMs = 0): Decision {
  return { kind: "switch", to: model, because, forcedCostMs: forcedMs };
}
