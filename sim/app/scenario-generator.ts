/** Makes a scenario of the whole app from a seed: random models, clients of every kind, and trouble of every kind. */
import { Random, scramble } from "../../src/simulation/random.ts";
import type { SleepLevel } from "../../src/core/sleep-level.ts";
import { generateFaults } from "./fault-generator.ts";
import type {
  AnswerForm,
  AppScenario,
  AppSettings,
  PlannedClient,
  PlannedEnd,
  PlannedVisit,
  SimulatedKey,
  SimulatedModel,
} from "./scenario.ts";

const GIB = 1024 ** 3;

/** The same seed gives the same scenario. */
export function generateAppScenario(seed: number): AppScenario {
  const random = new Random(seed);
  // What was added later has numbers of its own, so that seeds keep their histories.
  const further = new Random(scramble(seed));
  const basicSettings = generateSettings(random);
  const models = generateModels(random);
  const keys = further.chance(0.75) ? [] : generateKeys(further, models);
  const settings = {
    ...basicSettings,
    refusedMs: further.pick([0, 250, 250, 250]),
    heartbeatMs: further.pick([null, 100, 1_000, 15_000, 15_000, 15_000]),
    keys,
  };
  const durationMs = random.int(60, 2_400) * 1000;
  const clients = generateClients(random, models, durationMs);
  const isCalm = random.chance(0.15);
  return {
    seed,
    settings,
    models,
    clients: clients.map((client) => withFurther(client, further, keys)),
    visits: generateVisits(random, models, durationMs),
    faults: isCalm ? [] : generateFaults(random, models, clients),
    killedAtMs: isCalm || random.chance(0.8) ? [] : [Math.floor(random.next() * durationMs)],
    end: generateEnd(random, durationMs),
  };
}

function generateSettings(random: Random): Omit<AppSettings, "refusedMs" | "heartbeatMs" | "keys"> {
  return {
    policyType: random.chance(0.5) ? "fifo" : "bounded-wait",
    minActiveMs: random.pick([0, 500, 5000, 5000]),
    requestTimeoutMs: random.pick([2000, 20_000, 60_000, 60_000, 300_000]),
    drainBeforeSwitch: random.chance(0.9),
    drainTimeoutMs: random.pick([null, null, 0, 500, 5000, 30_000]),
    shutdownTimeoutMs: random.pick([0, 1000, 30_000]),
    stopGraceMs: random.pick([1000, 10_000]),
    sleepTimeoutMs: 60_000,
    wakeTimeoutMs: 30_000,
    reloadTimeoutMs: 60_000,
    startupTimeoutMs: 120_000,
    hasProbe: random.chance(0.7),
    timerLagMs: random.pick([0, 0, 0, 1, 7]),
    roomFor: random.pick([1, 1, 1, 2, 3]),
    tellsGpus: random.chance(0.6),
    ...generateLimits(random),
  };
}

type Limits = "drainBudgetMs" | "idleSleepMs" | "idleStopMs" | "queueMax" | "queueTotalMax" | "hostMemoryBytes";

function generateLimits(random: Random): Pick<AppSettings, Limits> {
  const idleSleepMs = random.pick([null, null, 5000, 60_000]);
  return {
    drainBudgetMs: random.pick([null, null, 0, 1000, 5000]),
    idleSleepMs,
    idleStopMs: random.pick([null, null, 30_000, 300_000]),
    queueMax: random.pick([2000, 2000, 3]),
    queueTotalMax: random.pick([10_000, 10_000, 5]),
    hostMemoryBytes: random.pick([null, null, 0, 60 * GIB]),
  };
}

function generateModels(random: Random): SimulatedModel[] {
  const gpuCount = random.pick([1, 1, 1, 2, 3]);
  const isAssigned = gpuCount > 1 || random.chance(0.3);
  const names = ["a", "b", "c", "d", "e"].slice(0, random.pick([1, 2, 2, 3, 3, 4, 5]));
  return names.map((name, index) => {
    const first = random.int(0, gpuCount - 1);
    const width = random.chance(0.25) ? random.int(1, gpuCount) : 1;
    const gpus = Array.from({ length: gpuCount }, (_, gpu) => gpu).filter((gpu) => gpu >= first && gpu < first + width);
    const quick = random.chance(0.5) ? 0.2 : 1;
    return {
      name,
      gpus: isAssigned ? gpus : null,
      port: random.chance(0.5) ? 8001 + index : null,
      sleepLevel: random.pick<SleepLevel>([1, 1, 2, 3]),
      maxNumSeqs: random.pick([null, 4, 64]),
      startMs: Math.round(quick * random.int(2000, 20_000)),
      sleepMs: Math.round(quick * random.int(100, 3000)),
      wakeMs: Math.round(quick * random.int(100, 3000)),
      reloadMs: Math.round(quick * random.int(100, 4000)),
      stopMs: random.int(20, 800),
      awakeBytes: random.int(4, 70) * GIB,
      residueBytes: GIB + random.int(0, 700) * 1024 ** 2,
      hostBytes: random.int(2, 40) * GIB,
      tellsNeed: random.chance(0.5),
      canSuspend: random.chance(0.4),
      isPinned: random.chance(0.04),
      isPreloaded: random.chance(0.15),
      priority: random.pick(["low", "normal", "normal", "normal", "high"] as const),
      tellsFreed: random.chance(0.4),
      saysAwake: random.chance(0.5),
    };
  });
}

function generateKeys(random: Random, models: readonly SimulatedModel[]): SimulatedKey[] {
  const limited = Array.from({ length: random.int(1, 2) }, (_, index) => ({
    name: `key-${index}`,
    models: random.chance(0.3) ? [random.pick(models).name] : null,
    requestsPerMinute: random.pick([null, null, 1, 10]),
    inFlightMax: random.pick([null, 1, 3]),
    priority: random.pick([null, null, "low", "high"] as const),
  }));
  const unlimited = { name: "all", models: null, requestsPerMinute: null, inFlightMax: null, priority: null };
  return [unlimited, ...limited];
}

/** The client, with a key where there are some; a few want to hear nothing of their wait. */
function withFurther(client: PlannedClient, random: Random, keys: readonly SimulatedKey[]): PlannedClient {
  const key = pickKey(random, keys);
  if (!random.chance(0.03) || client.connection !== null) return { ...client, key };
  return { ...client, key, pause: { atByte: 1, forMs: random.int(1_000, 100_000) } };
}

function pickKey(random: Random, keys: readonly SimulatedKey[]): string | null {
  if (random.chance(0.05)) return random.pick([null, "wrong"]);
  return keys.length === 0 ? null : random.pick(keys).name;
}

// ── clients ─────────────────────────────────────────────────────────────────────────────────────────────────────────

const FORMS: readonly AnswerForm[] = ["stream", "stream", "stream", "whole", "pieces with length", "chunked"];

function generateClients(random: Random, models: readonly SimulatedModel[], durationMs: number): PlannedClient[] {
  const clients: PlannedClient[] = [];
  const leavers = random.pick([0, 0.1, 0.4]);
  const pieceMs = random.pick([5, 20, 200]);
  const add = (atMs: number, model: string, rest: Partial<PlannedClient> = {}): void => {
    clients.push({
      ...generateClient(random, clients.length + 1, { pieceMs, leavers }),
      atMs: Math.floor(atMs),
      model,
      ...rest,
    });
  };
  for (let waves = random.int(2, 9); waves > 0; waves -= 1) addWave(random, models, durationMs, add);
  return clients.sort((a, b) => a.atMs - b.atMs || a.id - b.id);
}

function generateClient(
  random: Random,
  id: number,
  { pieceMs, leavers }: { readonly pieceMs: number; readonly leavers: number },
): PlannedClient {
  const isBig = random.chance(0.06);
  const isHttp10 = random.chance(0.06);
  const pause = isBig && random.chance(0.5) ? generatePause(random) : null;
  const sendMs = random.chance(0.1) ? random.int(1, 3000) : 0;
  return {
    id,
    atMs: 0,
    model: "",
    form: random.pick(FORMS),
    dialect: random.chance(0.85) ? "openai" : "anthropic",
    firstByteMs: random.int(1, 2000),
    pieces: random.int(1, 12),
    pieceBytes: isBig ? random.int(20_000, 90_000) : random.int(20, 200),
    pieceMs,
    isHttp10,
    key: null,
    priority: random.pick([null, null, null, null, "low", "high"] as const),
    connection: null,
    isPipelined: false,
    sendMs,
    leaves: random.chance(leavers) ? generateLeaving(random, sendMs) : null,
    pause,
  };
}

function generateLeaving(random: Random, sendMs: number): PlannedClient["leaves"] {
  const inOrder = random.chance(0.5);
  if (sendMs > 0 && random.chance(0.5)) return { kind: "while sending", inOrder };
  if (random.chance(0.5)) return { kind: "at byte", bytes: random.pick([1, 30, 200, 1000]), inOrder };
  return { kind: "after", ms: Math.floor(random.exponential(random.pick([10, 1000, 15_000]))), inOrder };
}

function generatePause(random: Random): PlannedClient["pause"] {
  return { atByte: random.pick([1, 1000, 40_000]), forMs: random.chance(0.8) ? random.int(10, 20_000) : null };
}

type AddClient = (atMs: number, model: string, rest?: Partial<PlannedClient>) => void;

/** One pattern of traffic somewhere in the time of the scenario. */
function addWave(random: Random, models: readonly SimulatedModel[], durationMs: number, add: AddClient): void {
  const startMs = random.next() * durationMs;
  const pick = (): string => random.pick(models).name;
  switch (
    random.pick([
      "burst",
      "interleaved",
      "interleaved",
      "lone",
      "alternating",
      "alternating",
      "conversation",
      "stranger",
    ] as const)
  ) {
    case "burst": {
      const model = pick();
      for (let left = random.int(2, 25); left > 0; left -= 1) add(startMs, model);
      return;
    }
    case "interleaved": {
      const gapMs = random.pick([0, 1, 300, 4000]);
      for (let index = random.int(2, 20); index > 0; index -= 1) add(startMs + index * gapMs, pick());
      return;
    }
    case "lone":
      return add(startMs, pick());
    case "alternating": {
      const pair = [pick(), pick()];
      const gapMs = random.pick([50, 1000, 8000]);
      for (let index = random.int(2, 16); index > 0; index -= 1)
        add(startMs + index * gapMs, pair[index % 2] ?? pick());
      return;
    }
    case "conversation": {
      // One client asks again and again over one connection, or all at once without waiting for the answers.
      const connection = Math.floor(startMs);
      const isPipelined = random.chance(0.4);
      const gapMs = isPipelined ? random.pick([0, 3]) : random.pick([100, 3000]);
      const rest = { connection, isPipelined, leaves: null, pause: null, sendMs: 0, isHttp10: false };
      for (let index = random.int(2, 8); index > 0; index -= 1) add(startMs + index * gapMs, pick(), rest);
      return;
    }
    case "stranger":
      return add(startMs, "nobody");
  }
}

// ── the rest ────────────────────────────────────────────────────────────────────────────────────────────────────────

function generateVisits(random: Random, models: readonly SimulatedModel[], durationMs: number): PlannedVisit[] {
  const visits: PlannedVisit[] = [];
  for (let left = random.pick([0, 1, 4]); left > 0; left -= 1) {
    const at = random.pick(["/v1/models", "/health", "/metrics", "/metrics", "/status"] as const);
    visits.push({ atMs: Math.floor(random.next() * durationMs), what: { kind: "look", at } });
  }
  for (let left = random.pick([0, 0, 2, 10]); left > 0; left -= 1) {
    const command = random.pick(["sleep", "stop"] as const);
    const atMs = Math.floor(random.next() * durationMs);
    const order = { atMs, what: { kind: "order", model: random.pick(models).name, command } } as const;
    visits.push(order);
    if (random.chance(0.3)) visits.push(order);
  }
  return visits;
}

function generateEnd(random: Random, durationMs: number): PlannedEnd {
  const atMs = random.chance(0.7) ? null : Math.floor(random.next() * durationMs);
  if (random.chance(0.8)) return { kind: "drain", atMs };
  return random.chance(0.5) ? { kind: "kill", atMs } : { kind: "drain, then kill", atMs, afterMs: random.int(0, 3000) };
}
