/** Makes a scenario from a seed: random models on random devices, random traffic, random trouble. */
import type { ModelSpec } from "../src/core/model.ts";
import type { SleepLevel } from "../src/core/sleep-level.ts";
import { crowded } from "./crowd.ts";
import { longestWaitsMs } from "./longest-wait.ts";
import { Random } from "../src/simulation/random.ts";
import type { CrashState, EngineOrder, Fault, PlannedRequest, Scenario, SimulatedModel } from "./scenario.ts";

/** The same seed gives the same scenario. */
export function generateScenario(seed: number): Scenario {
  const random = new Random(seed);
  const models = generateModels(random);
  const durationMs = random.int(30, 1_500) * 1000;
  // On a coarse grid many things happen at the same instant.
  const gridMs = random.pick([1, 1, 1, 100, 1000]);
  // In a calm scenario nothing goes wrong and nobody gives up, so that the longest wait can be checked.
  const calm = random.chance(0.2);
  const requests = generateRequests(random, models, { durationMs, gridMs, calm });
  const draft: Scenario = {
    seed,
    policy: calm || random.chance(0.8) ? "fifo" : seed % 2 === 0 ? "newest first" : "bounded wait",
    minActiveMs: random.pick([0, 0, 500, 2000, 5000, 5000, 10_000]),
    requestTimeoutMs: random.pick([1000, 5000, 20_000, 60_000, 60_000, 300_000]),
    drainTimeoutMs: random.pick([null, null, 0, 0, 500, 5000, 30_000]),
    budgets: null,
    models,
    requests,
    faults: calm ? [] : generateFaults(random, models),
    commands: calm || random.chance(0.5) ? [] : generateCommands(random, models, durationMs, gridMs),
    alarmLagMs: calm ? 0 : random.pick([0, 0, 0, 1, 40, 3000]),
    needlessAlarmsAtMs: random.chance(0.8) ? [] : times(random, random.int(1, 5), durationMs),
    shutdown: {
      atMs: calm || random.chance(0.5) ? null : onGrid(random.next() * durationMs, gridMs),
      timeoutMs: random.pick([0, 1000, 30_000]),
    },
  };
  const plain = calm ? { ...draft, requestTimeoutMs: 2 * Math.max(...longestWaitsMs(draft).values()) } : draft;
  return random.chance(0.5) ? plain : crowded(plain, calm);
}

function generateModels(random: Random): SimulatedModel[] {
  const devices = Array.from({ length: random.int(1, 4) }, (_, index) => String(index));
  const quick = random.chance(0.3);
  const ids = ["a", "b", "c", "d", "e", "f", "g", "h"].slice(0, random.int(1, 8));
  return ids.map((id) => {
    const spread = random.chance(0.3) ? random.int(1, devices.length) : 1;
    const first = random.int(0, devices.length - 1);
    const own = devices.filter((_, index) => (index - first + devices.length) % devices.length < spread);
    const sleepLevel = random.pick<SleepLevel>([1, 1, 2, 3]);
    const spec: ModelSpec = { id, devices: own, sleepLevel };
    const scale = quick ? 0.1 : 1;
    const usualMs = {
      start: scale * random.int(1000, 30_000),
      wake: scale * random.int(100, 4000),
      sleep: scale * random.int(100, 3000),
      stop: scale * random.int(50, 3000),
    };
    return { spec, usualMs };
  });
}

interface Shape {
  readonly durationMs: number;
  readonly gridMs: number;
  readonly calm: boolean;
}

function generateRequests(random: Random, models: readonly SimulatedModel[], shape: Shape): PlannedRequest[] {
  const requests: PlannedRequest[] = [];
  const holdMs = random.pick([50, 500, 2000, 10_000]);
  const leavers = shape.calm ? 0 : random.pick([0, 0.05, 0.5]);
  const add = (atMs: number, model: SimulatedModel): void => {
    requests.push({
      id: requests.length + 1,
      atMs: onGrid(atMs, shape.gridMs),
      model: model.spec.id,
      holdMs: onGrid(Math.min(random.exponential(holdMs), 6 * holdMs), shape.gridMs),
      outcome: random.chance(0.97) ? "served" : "failed",
      patienceMs: random.chance(leavers) ? onGrid(random.exponential(10_000), shape.gridMs) : null,
      revokedMs: random.chance(0.8) ? random.int(0, 20) : random.int(0, 8000),
    });
  };
  const waves = random.int(1, 8);
  for (let wave = 0; wave < waves; wave += 1) addWave(random, models, shape.durationMs, add);
  return requests;
}

/** One pattern of traffic somewhere in the time of the scenario. */
function addWave(
  random: Random,
  models: readonly SimulatedModel[],
  durationMs: number,
  add: (atMs: number, model: SimulatedModel) => void,
): void {
  const startMs = random.next() * durationMs;
  switch (random.pick(["burst", "interleaved", "lone", "saturation", "alternating", "one after another"] as const)) {
    case "burst": {
      const model = random.pick(models);
      for (let i = random.int(1, 40); i > 0; i -= 1) add(startMs, model);
      return;
    }
    case "interleaved": {
      const gapMs = random.pick([0, 1, 100, 3000]);
      const rounds = random.int(1, 6);
      for (let round = 0; round < rounds; round += 1) {
        for (const [index, model] of models.entries()) add(startMs + (round * models.length + index) * gapMs, model);
      }
      return;
    }
    case "lone":
      return add(startMs, random.pick(models));
    case "saturation": {
      const gapMs = random.pick([200, 1000, 5000]);
      const count = random.int(20, 120);
      for (let i = 0, atMs = startMs; i < count; i += 1, atMs += random.exponential(gapMs))
        add(atMs, random.pick(models));
      return;
    }
    case "one after another": {
      // A new model is wanted whenever the last one has come up: whoever prefers the newest starves the rest.
      const gapMs = random.pick([500, 3000, 10_000]);
      for (let i = 0; i < 150; i += 1) add(startMs + i * gapMs, models[i % models.length] ?? random.pick(models));
      return;
    }
    case "alternating": {
      const pair = [random.pick(models), random.pick(models)];
      const gapMs = random.pick([50, 1000, 8000]);
      for (let i = random.int(2, 40); i > 0; i -= 1)
        for (const model of pair.slice(i % 2, (i % 2) + 1)) add(startMs + i * gapMs, model);
      return;
    }
  }
}

const ORDERS: readonly EngineOrder[] = ["start", "wake", "sleep", "stop"];
const CRASH_STATES: readonly CrashState[] = ["starting", "awake", "draining", "falling asleep", "asleep", "waking"];

function generateFaults(random: Random, models: readonly SimulatedModel[]): Fault[] {
  const faults: Fault[] = [];
  for (let left = random.pick([0, 1, 3, 10, 30]); left > 0; left -= 1) {
    const model = random.pick(models).spec.id;
    const nth = random.int(1, 4);
    switch (random.pick(["fails", "fails", "slow", "crash", "crash"] as const)) {
      case "fails": {
        const order = random.pick(ORDERS);
        // Several in a row: the backoff doubles, the stop is tried again and again.
        for (let i = random.pick([1, 1, 2, 5]); i > 0; i -= 1)
          faults.push({ kind: "fails", model, order, nth: nth + i - 1 });
        break;
      }
      case "slow":
        faults.push({ kind: "slow", model, order: random.pick(ORDERS), nth, factor: random.pick([3, 20, 100]) });
        break;
      case "crash": {
        const during = random.pick(CRASH_STATES);
        const afterMs = random.pick([0, random.int(0, 100), random.int(0, 5000)]);
        const noticeMs = random.chance(0.6) ? 0 : random.int(0, 200);
        for (let i = random.pick([1, 1, 3]); i > 0; i -= 1) {
          faults.push({ kind: "crash", model, during, nth: nth + i - 1, afterMs, noticeMs });
        }
        break;
      }
    }
  }
  return faults;
}

function generateCommands(random: Random, models: readonly SimulatedModel[], durationMs: number, gridMs: number) {
  return times(random, random.int(1, 12), durationMs).flatMap((atMs) => {
    const command = {
      atMs: onGrid(atMs, gridMs),
      model: random.pick(models).spec.id,
      command: random.pick(["sleep", "stop"] as const),
    };
    return random.chance(0.2) ? [command, command] : [command];
  });
}

function times(random: Random, count: number, durationMs: number): number[] {
  return Array.from({ length: count }, () => Math.floor(random.next() * durationMs));
}

function onGrid(valueMs: number, gridMs: number): number {
  return Math.round(valueMs / gridMs) * gridMs;
}
