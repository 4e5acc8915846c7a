/**
 * Bounded wait: stay while it pays, go where most is waiting for each second that it costs, and let nobody wait past a bound.
 *
 * | rule, in this order                                                            | the switch goes to        |
 * |--------------------------------------------------------------------------------|---------------------------|
 * | nobody is awake on the devices, or nobody is using who is                      | the most valuable model   |
 * | the model that is awake has not earned its switch yet (three times the cost; once, for one that is overdue) | nobody |
 * | somebody's oldest request reaches `maxWaitMs`, the switch included             | the most overdue model    |
 * | somebody's oldest request reaches `targetWaitMs`, and the credit pays          | the one that waited longest |
 * | more wait for another model than half of what the one that is awake has to do  | the most valuable model   |
 *
 * Value is the number of waiting requests, older ones counting more, for each second of switch and visit.
 */
import type { DeviceId, ModelId } from "../model.ts";
import type { Candidate, Decision, Policy, PolicyView } from "../policy.ts";

/** All in ms; `targetWaitMs` < `maxWaitMs`. */
export interface BoundedWaitOptions {
  /** An older request may force a switch, as long as there is credit for forced switches. */
  readonly targetWaitMs: number;
  /** An older request does force one. */
  readonly maxWaitMs: number;
}

/** A model stays until it has been awake for so many times the cost of the switch away from it. */
const STAY_COSTS = 3;
const STAY_COSTS_OVERDUE = 1;

/** A request that has waited so long counts twice. */
const AGE_WEIGHT_MS = 30_000;

/** More than this share of the load of the model that is awake must wait elsewhere. */
const OUTWEIGH_SHARE = 0.5;

/** While somebody waits, weights grow with time alone; so often are they looked at. */
const ASK_AGAIN_MS = 500;

/** Makes the policy. */
export function boundedWait(options: BoundedWaitOptions): Policy {
  return (view) => decide(view, options);
}

interface Considered extends Candidate {
  /** Waiting requests, weighed by age, for each ms of switch and visit. */
  readonly value: number;
  /** A switch must begin by then, or the oldest request waits past the bound. */
  readonly overdueAtMs: number;
  readonly targetAtMs: number;
  readonly isOverdue: boolean;
  /** What those who would have to leave still have to do: requests in flight and in their queues. */
  readonly load: number;
}

interface Rule {
  /** Who is looked at first; on any device only the first one is looked at. */
  readonly order: (a: Considered, b: Considered) => number;
  readonly applies: (candidate: Considered, nowMs: number) => boolean;
  /** The decision, or null when it is not to be made now. */
  readonly decide: (candidate: Considered, nowMs: number) => Decision | null;
}

const byValue: Rule["order"] = (a, b) => b.value - a.value;
const byAge: Rule["order"] = (a, b) => a.oldestEnqueuedAtMs - b.oldestEnqueuedAtMs;

const RULES: readonly Rule[] = [
  {
    order: byValue,
    applies: ({ load }) => load === 0,
    decide: (to) =>
      switchTo(to, to.victims.length === 0 ? "nobody is awake there" : "nobody uses the model that is awake"),
  },
  {
    order: byAge,
    applies: ({ isOverdue }) => isOverdue,
    decide: (to, nowMs) =>
      hasStayed(to, STAY_COSTS_OVERDUE, nowMs)
        ? switchTo(to, `its oldest request has waited ${waited(to, nowMs)} and may wait no longer`)
        : null,
  },
  {
    order: byAge,
    applies: ({ targetAtMs }, nowMs) => targetAtMs <= nowMs,
    decide(to, nowMs) {
      const costMs = to.switchCostMs + to.switchBackCostMs;
      if (!hasStayed(to, STAY_COSTS, nowMs) || to.forcedCreditMs < costMs) return null;
      return switchTo(
        to,
        `its oldest request has waited ${waited(to, nowMs)}, and there is credit for the switch`,
        costMs,
      );
    },
  },
  {
    order: byValue,
    applies: () => true,
    decide(to, nowMs) {
      if (!hasStayed(to, STAY_COSTS, nowMs) || to.waiting <= OUTWEIGH_SHARE * to.load) return null;
      return switchTo(
        to,
        `${to.waiting} wait for it, more than half of the ${to.load} that the model which is awake has to do`,
      );
    },
  },
];

function decide({ nowMs, candidates }: PolicyView, options: BoundedWaitOptions): Decision {
  const all = candidates.map((candidate) => consider(candidate, nowMs, options));
  const keepers = keepersOfDevices(all);
  for (const { order, applies, decide: decideFor } of RULES) {
    const seen = new Set<DeviceId>();
    for (const candidate of all.filter((one) => applies(one, nowMs)).sort(order)) {
      const isFirst = !candidate.devices.some((device) => seen.has(device));
      for (const device of candidate.devices) seen.add(device);
      if (!isFirst || candidate.obstacle !== null || isKeptOut(candidate, keepers)) continue;
      const decision = decideFor(candidate, nowMs);
      if (decision !== null) return decision;
    }
  }
  return { kind: "stay", askAgainAtMs: nowMs + ASK_AGAIN_MS };
}

function consider(candidate: Candidate, nowMs: number, options: BoundedWaitOptions): Considered {
  const { oldestEnqueuedAtMs, switchCostMs, visitMs, waiting, sumEnqueuedAtMs } = candidate;
  const weight = waiting + (waiting * nowMs - sumEnqueuedAtMs) / AGE_WEIGHT_MS;
  const overdueAtMs = oldestEnqueuedAtMs + options.maxWaitMs - switchCostMs;
  return {
    ...candidate,
    value: weight / (switchCostMs + visitMs),
    overdueAtMs,
    targetAtMs: oldestEnqueuedAtMs + options.targetWaitMs - switchCostMs,
    isOverdue: overdueAtMs <= nowMs,
    load: candidate.victims.reduce((sum, victim) => sum + victim.inFlight + victim.waiting, 0),
  };
}

/**
 * An overdue candidate keeps its devices until it can go: others would else take them one after the other, and one that
 * needs several at once would never find them all free.
 */
function keepersOfDevices(all: readonly Considered[]): ReadonlyMap<DeviceId, ModelId> {
  const keepers = new Map<DeviceId, ModelId>();
  for (const { model, devices } of all.filter(({ isOverdue }) => isOverdue).sort(byAge)) {
    for (const device of devices) if (!keepers.has(device)) keepers.set(device, model);
  }
  return keepers;
}

function isKeptOut({ model, devices }: Considered, keepers: ReadonlyMap<DeviceId, ModelId>): boolean {
  return devices.some((device) => (keepers.get(device) ?? model) !== model);
}

function hasStayed({ victims, switchCostMs }: Considered, costs: number, nowMs: number): boolean {
  return victims.every(({ awakeSinceMs }) => nowMs >= awakeSinceMs + costs * switchCostMs);
}

function switchTo({ model }: Considered, because: string, forcedCostMs = 0): Decision {
  return { kind: "switch", to: model, because, forcedCostMs };
}

function waited({ oldestEnqueuedAtMs }: Considered, nowMs: number): string {
  return `${((nowMs - oldestEnqueuedAtMs) / 1000).toFixed(1)} s`;
}
