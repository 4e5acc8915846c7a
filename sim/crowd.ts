/** Makes a scenario one in which memory is counted: several models awake together, sleepers in the host's memory, requests that stand still. */
import type { DeviceSpec, ModelSpec, Priority } from "../src/core/model.ts";
import { Random } from "../src/simulation/random.ts";
import { longestBoundedWaitMs } from "./longest-wait.ts";
import type { Fault, Scenario, SimulatedModel } from "./scenario.ts";

const GIB = 1024 ** 3;

/** Its own random numbers, so that what the scenario was before does not depend on them. */
const SALT = 0x5eed;

/** The same scenario gives the same one. In a calm one nothing keeps a wait from having a bound. */
export function crowded(scenario: Scenario, calm: boolean): Scenario {
  const random = new Random(scenario.seed ^ SALT);
  const devices = devicesOf(scenario, random);
  const drainBudgetMs = random.pick([null, 0, 500, 5000]);
  const changed: Scenario = {
    ...scenario,
    policy: calm ? "bounded wait" : random.pick([scenario.policy, "bounded wait"]),
    // One of the two at most; a calm one needs one.
    drainTimeoutMs: drainBudgetMs === null ? (scenario.drainTimeoutMs ?? (calm ? 500 : null)) : null,
    budgets: {
      devices,
      hostMemoryBytes: random.chance(0.4) ? null : random.int(0, 60) * GIB,
      drainBudgetMs,
      queueMax: calm ? Infinity : random.pick([Infinity, 10, 100]),
      idleSleepMs: calm ? null : random.pick([null, null, 0, 2000, 30_000]),
      idleStopMs: calm ? null : random.pick([null, null, 0, 5000, 60_000]),
    },
    models: scenario.models.map((model) => {
      const spec = specOf(model, devices, calm, random);
      const most = spec.needBytes ?? 4 * GIB;
      return { ...model, spec, residueBytes: Math.floor(Math.min(most, random.pick([0.1, 0.5, 1, 2, 3]) * GIB)) };
    }),
    requests: scenario.requests.map((request) => {
      if (random.chance(0.7)) return request;
      return { ...request, priority: random.pick<Priority>(["low", "normal", "high"]) };
    }),
    faults: calm ? [] : [...scenario.faults, ...shortages(scenario, random)],
  };
  if (!calm) return changed;
  return { ...changed, requestTimeoutMs: 2 * longestBoundedWaitMs(changed) };
}

function devicesOf({ models }: Scenario, random: Random): DeviceSpec[] {
  const ids = [...new Set(models.flatMap(({ spec }) => spec.devices))];
  return ids.map((id) => ({ id, memoryBytes: random.chance(0.15) ? null : random.int(8, 40) * GIB }));
}

function specOf({ spec }: SimulatedModel, devices: readonly DeviceSpec[], calm: boolean, random: Random): ModelSpec {
  const sizes = devices.flatMap(({ id, memoryBytes }) => (spec.devices.includes(id) ? [memoryBytes] : []));
  const smallest = Math.min(...sizes.map((bytes) => bytes ?? Infinity));
  const isKnown = random.chance(0.85);
  // Whatever it needs, it fits on its devices alone.
  const most = smallest === Infinity ? 40 : smallest / GIB;
  const needBytes = random.int(1, most) * GIB;
  const hostBytes = random.int(1, 30) * GIB;
  const inFlightMax = random.pick([null, 1, 4, 64]);
  return {
    ...spec,
    ...(isKnown ? { needBytes } : {}),
    ...(random.chance(0.8) ? { hostBytes } : {}),
    ...(inFlightMax === null ? {} : { inFlightMax }),
    ...(calm || random.chance(0.7) ? {} : { queueMax: random.int(1, 30) }),
    ...(random.chance(0.7) ? {} : { priority: random.pick<Priority>(["low", "high"]) }),
    canSuspend: random.chance(0.6),
    pinned: !calm && random.chance(0.05),
    preload: !calm && random.chance(0.3),
  };
}

function shortages({ models }: Scenario, random: Random): Fault[] {
  return Array.from({ length: random.pick([0, 0, 1, 4]) }, () => ({
    kind: "lacks memory" as const,
    model: random.pick(models).spec.id,
    order: random.pick(["start", "wake"] as const),
    nth: random.int(1, 3),
  }));
}
