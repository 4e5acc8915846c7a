/** Why bounded wait goes or stays, in words that an operator understands. */
import type { DeviceId, ModelId } from "../model.ts";
import type { Verdict } from "../policy.ts";
import {
  byAge,
  byValue,
  firstOf,
  hasCredit,
  isKeptOut,
  neededCreditMs,
  outweighs,
  withoutThoseOn,
  type BoundedWaitOptions,
  type Considered,
  type Order,
} from "./considered.ts";

/** All of them, in the order in which it would go there. */
export function explain(
  all: readonly Considered[],
  keepers: ReadonlyMap<DeviceId, ModelId>,
  nowMs: number,
  options: BoundedWaitOptions,
): readonly Verdict[] {
  const free = all.filter((one) => one.candidate.obstacle === null && !isKeptOut(one, keepers));
  const first: First = {
    ofForced: firstOfEach(free, byAge, (one) => isForced(one, nowMs)),
    ofOutweighing: firstOfEach(free, byValue, outweighs),
  };
  return all
    .toSorted((a, b) => Number(b.isOverdue) - Number(a.isOverdue) || byValue(a, b))
    .map((one) => ({
      model: one.candidate.model,
      weighed: weighed(one, nowMs),
      keptBy: whatKeepsOut(one, keepers) ?? whatKeeps(one, first, nowMs, options),
    }));
}

/** Who must leave for it: "a and b". */
export function names({ candidate: { victims } }: Considered): string {
  return victims.map(({ model }) => model).join(" and ");
}

/** How long its oldest request has waited: "8.1 s". */
export function waited({ candidate: { oldestEnqueuedAtMs } }: Considered, nowMs: number): string {
  return seconds(nowMs - oldestEnqueuedAtMs);
}

/** A weight of requests as people read it. */
export function rounded(weight: number): number {
  return Math.round(weight * 100) / 100;
}

function weighed(one: Considered, nowMs: number): string {
  const { waiting, switchCostMs, visitMs } = one.candidate;
  const worth = Number((one.value * 1000).toPrecision(2));
  return (
    `${waiting} ${waiting === 1 ? "waits" : "wait"}, the oldest for ${waited(one, nowMs)}; the switch costs ` +
    `${seconds(switchCostMs)} and its visit lasts about ${seconds(visitMs)}: worth ${worth} requests a second`
  );
}

function whatKeepsOut({ candidate }: Considered, keepers: ReadonlyMap<DeviceId, ModelId>): string | null {
  const { model, obstacle, devices } = candidate;
  if (obstacle !== null) return obstacle;
  const keeper = devices.map((device) => keepers.get(device)).find((id) => id !== undefined && id !== model);
  return keeper === undefined ? null : `${keeper} is overdue and comes first`;
}

function whatKeeps(one: Considered, first: First, nowMs: number, options: BoundedWaitOptions): string | null {
  const { candidate, load, isOverdue, stayedAtMs, stayedOverdueAtMs } = one;
  if (load === 0) return null;
  const readyAtMs = isOverdue ? stayedOverdueAtMs : stayedAtMs;
  if (readyAtMs > nowMs) {
    const are = candidate.victims.length === 1 ? "is" : "are";
    return `${names(one)} ${are} in use and may stay for another ${seconds(readyAtMs - nowMs)}`;
  }
  if (isOverdue) return null;
  const older = isForced(one, nowMs) && hasCredit(one, options) ? first.ofForced.get(one) : undefined;
  const dearer = first.ofOutweighing.get(one);
  if (older === one || dearer === one) return null;
  if (dearer !== undefined) return `${dearer.candidate.model} is worth more and comes first`;
  if (older !== undefined) return `${older.candidate.model} has waited longer and comes first`;
  return whatIsMissing(one, nowMs, options);
}

/** For each to whom a rule applies the one that is looked at before it on its devices, or itself. */
interface First {
  readonly ofForced: ReadonlyMap<Considered, Considered>;
  readonly ofOutweighing: ReadonlyMap<Considered, Considered>;
}

function firstOfEach(
  free: readonly Considered[],
  order: Order,
  applies: (one: Considered) => boolean,
): ReadonlyMap<Considered, Considered> {
  const found = new Map<Considered, Considered>();
  let left = free.filter(applies);
  for (let first = firstOf(left, order); first !== null; first = firstOf(left, order)) {
    const others = withoutThoseOn(first.candidate.devices, left);
    for (const one of left) if (!others.includes(one)) found.set(one, first);
    left = others;
  }
  return found;
}

function isForced({ targetAtMs }: Considered, nowMs: number): boolean {
  return targetAtMs <= nowMs;
}

function whatIsMissing(one: Considered, nowMs: number, options: BoundedWaitOptions): string {
  const { pressingWeight, forcedCreditMs } = one.candidate;
  const half = `${rounded(pressingWeight)} wait for it, and more than half of the ${rounded(one.load)} that ${names(one)} must do would have to`;
  if (one.targetAtMs > nowMs) return `${half}; in ${seconds(one.targetAtMs - nowMs)} it may force a switch`;
  const needed = `${seconds(neededCreditMs(one, options))} (there is ${seconds(forcedCreditMs)})`;
  return `${half}; it may force a switch when there is credit of ${needed}`;
}

function seconds(durationMs: number): string {
  return `${(durationMs / 1000).toFixed(1)} s`;
}
