/** How long a request can wait at most under fifo when nothing goes wrong. */
import { assert } from "../src/base/assert.ts";
import type { ModelId } from "../src/core/model.ts";
import { boundedWait, type BoundedWaitOptions } from "../src/core/policies/bounded-wait.ts";
import { JITTER, type Scenario, type SimulatedModel } from "./scenario.ts";
import { overlap } from "./view.ts";

type Terms = Pick<Scenario, "models" | "requests" | "drainTimeoutMs" | "minActiveMs">;

/**
 * The bound in ms for each model, in a scenario without faults, commands and departures. Why it holds:
 *
 * Only models matter that share a device with it, or with one that does, and so on; let there be n of them, itself included.
 * Let T be their longest switch: drain (the longest request, or the drain timeout and the longest hand-in after it), then the
 * longest sleep or stop, then the longest start or wake. Let S be the minimum stay. When a model is awake, all its requests
 * are let in, so whatever comes for it later is younger: before its own turn a request has one turn of every other model
 * at most.
 *
 * If each of them has one device, the turns follow each other: what is left of the switch under way, T, then n turns of
 * S + T each.
 *
 * If some have several devices, take the model whose oldest request came first of all that wait and are not being switched
 * to. Nobody who came later may take one of its devices, so it waits for
 * - the switches that had its devices when it became first: T, since they run side by side;
 * - switches elsewhere whose victim also holds one of its devices: at most T for each device, since such a switch leaves the
 *   device empty and nobody else may come there;
 * - S, and its own switch, T.
 * That makes n turns of (2 + devices) · T + S.
 */
export function longestWaitsMs(terms: Terms): ReadonlyMap<ModelId, number> {
  const bounds = new Map<ModelId, number>();
  for (const group of groups(terms.models)) {
    const boundMs = longestWaitInMs(group, terms);
    for (const { spec } of group) bounds.set(spec.id, boundMs);
  }
  return bounds;
}

function longestWaitInMs(group: readonly SimulatedModel[], { requests, drainTimeoutMs, minActiveMs }: Terms): number {
  const own = requests.filter(({ model }) => group.some(({ spec }) => spec.id === model));
  const holdMs = Math.max(0, ...own.map((request) => request.holdMs));
  const revokedMs = Math.max(0, ...own.map((request) => request.revokedMs));
  const drainMs = drainTimeoutMs === null ? holdMs : Math.min(holdMs, drainTimeoutMs + revokedMs);
  const longest = (usual: (model: SimulatedModel) => number): number => (1 + JITTER) * Math.max(...group.map(usual));
  const leaveMs = longest(({ usualMs, spec }) => (spec.sleepLevel === 3 ? usualMs.stop : usualMs.sleep));
  const comeMs = longest(({ usualMs }) => Math.max(usualMs.start, usualMs.wake));
  // Durations are rounded to whole milliseconds.
  const switchMs = drainMs + leaveMs + comeMs + 2;
  const devicesMax = Math.max(...group.map(({ spec }) => spec.devices.length));
  if (devicesMax === 1) return switchMs + group.length * (minActiveMs + switchMs);
  return group.length * ((2 + devicesMax) * switchMs + minActiveMs);
}

/** The models in groups that share no device. */
function groups(models: readonly SimulatedModel[]): SimulatedModel[][] {
  let found: SimulatedModel[][] = [];
  for (const model of models) {
    const touched = found.filter((group) => group.some(({ spec }) => overlap(spec.devices, model.spec.devices)));
    found = [...found.filter((group) => !touched.includes(group)), [model, ...touched.flat()]];
  }
  return found;
}

/**
 * The bound of bounded wait for a calm scenario, in ms: the policy's own formula, with the most that each of its terms can be here.
 * Older requests count as if all that there are had come before.
 */
export function longestBoundedWaitMs(scenario: Scenario): number {
  const { models, requests, drainTimeoutMs, budgets, minActiveMs } = scenario;
  const longest = (usual: (model: SimulatedModel) => number): number => (1 + JITTER) * Math.max(...models.map(usual));
  const leaveMs = longest(({ usualMs }) => Math.max(usualMs.sleep, usualMs.stop));
  const comeMs = longest(({ usualMs }) => Math.max(usualMs.start, usualMs.wake));
  // Who leaves one device goes one after another; what is not measured yet is guessed, and may be guessed too high.
  const switchCostMaxMs = Math.max(models.length * 2 * leaveMs + 2 * comeMs + 2, GUESS_MAX_MS);
  const limitMs = budgets?.drainBudgetMs ?? drainTimeoutMs;
  const revokedMs = Math.max(0, ...requests.map((request) => request.revokedMs));
  const policy = boundedWait(boundedWaitTimes(minActiveMs));
  const boundMs = policy.boundMs?.({
    otherModels: models.length - 1,
    olderWaiting: requests.length,
    inFlightMax: Math.min(...models.map(({ spec }) => spec.inFlightMax ?? Infinity)),
    switchCostMaxMs,
    drainMaxMs: limitMs === null ? null : limitMs + revokedMs,
    devicesMax: Math.max(...models.map(({ spec }) => spec.devices.length)),
  });
  assert(boundMs !== null && boundMs !== undefined, "a calm scenario has a limit to its drains");
  return boundMs;
}

/** What the scheduler believes of a switch that it knows nothing of, in ms. */
const GUESS_MAX_MS = 30_000;

/** Times such that the scenarios, which last for minutes, meet every rule of the policy. */
export function boundedWaitTimes(minActiveMs: number): BoundedWaitOptions {
  return { targetWaitMs: 2 * minActiveMs + 1000, maxWaitMs: 6 * minActiveMs + 5000, forcedCreditMaxMs: 20_000 };
}
