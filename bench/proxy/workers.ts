/** What a second worker gives: JSON requests through one and through two, in turns. */
import { availableParallelism, loadavg } from "node:os";
import { fileURLToPath } from "node:url";
import { until } from "../../test/support/until.ts";
import { BenchGround } from "../bench-ground.ts";
import { medianOf } from "../distribution.ts";
import type { Report, Table } from "../report.ts";
import { KEY, startThisLlmux, type Contender } from "./contenders.ts";
import { cpuTimeUs, mainThreadTimeUs } from "./cpu-time.ts";
import { AWAKE_MODEL, chatBody, requestBytes, SHORT_BYTES } from "./exchanges.ts";
import { Wire } from "./wire.ts";

const GENERATOR = fileURLToPath(new URL("./generator.ts", import.meta.url));

const GENERATORS = 2;

/** One kind of requests. */
interface Load {
  readonly title: string;
  /** Of a request's body. */
  readonly bytes: number;
  readonly connectionsEach: number;
}

const LOADS: readonly Load[] = [
  { title: "JSON chat requests of 1.5 KB, 64 at a time", bytes: SHORT_BYTES, connectionsEach: 32 },
  // A long conversation, with all that an agent has read. Here it is the gateway that has the most to do.
  { title: "JSON chat requests of 256 KB, 16 at a time", bytes: 256_000, connectionsEach: 8 },
];
const SECONDS = 4;
const WARM_UP_ROUNDS = 2;
const ROUNDS = 7;
const ALONE_REQUESTS = 500;

/** Those that are compared, by how many workers they have. */
const WORKERS = [1, 2];

interface Round {
  readonly perSecond: number;
  /** Of all its threads, for one request. */
  readonly cpuUs: number;
  readonly mainThreadUs: number;
  /** Of one request after another, with nothing beside. */
  readonly aloneMs: number;
}

/** Plays the same loads to each, one after the other, in every round. */
export async function workers(): Promise<Report> {
  await using ground = new BenchGround(null);
  const contenders = new Map<number, Contender>();
  for (const count of WORKERS) contenders.set(count, await startThisLlmux(ground, [], { workers: count }));
  const tables: Table[] = [];
  for (const load of LOADS) tables.push(await compare(ground, contenders, load));
  return {
    tables,
    checks: [],
    notes: [
      `The load comes from ${GENERATORS} processes and goes to one upstream process; all of them share ${availableParallelism()} cores with llmux.`,
      `Load average at the end: ${(loadavg()[0] ?? 0).toFixed(1)}.`,
    ],
  };
}

async function compare(ground: BenchGround, contenders: ReadonlyMap<number, Contender>, load: Load): Promise<Table> {
  const rounds = new Map<number, Round[]>(WORKERS.map((count) => [count, []]));
  for (let round = -WARM_UP_ROUNDS; round < ROUNDS; round += 1) {
    for (const [count, contender] of contenders) {
      const played = await play(ground, contender, load);
      if (round >= 0) rounds.get(count)?.push(played);
    }
  }
  const figure = (count: number, of: keyof Round): number => medianOf((rounds.get(count) ?? []).map((one) => one[of]));
  const rows = WORKERS.map((count) => {
    const rates = (rounds.get(count) ?? []).map(({ perSecond }) => perSecond);
    return [
      String(count),
      figure(count, "perSecond"),
      Math.min(...rates),
      Math.max(...rates),
      figure(count, "cpuUs"),
      figure(count, "mainThreadUs"),
      figure(count, "perSecond") / figure(WORKERS[0] ?? 1, "perSecond"),
      figure(count, "aloneMs"),
    ];
  });
  const columns = [
    "workers",
    "requests/s",
    "least",
    "most",
    "CPU µs/request",
    "of that, main thread",
    "times",
    "alone, ms",
  ];
  return { title: `${load.title}; medians of ${ROUNDS} rounds`, columns, rows };
}

async function play(ground: BenchGround, { port, pid, pids }: Contender, load: Load): Promise<Round> {
  const before = { all: cpuTimeUs(pids), main: mainThreadTimeUs(pid) };
  const args = [String(port), String(load.connectionsEach), String(SECONDS), String(load.bytes), KEY];
  const generators = Array.from({ length: GENERATORS }, (_, at) =>
    ground.start(`generator-${at}`, [process.execPath, GENERATOR, ...args]),
  );
  await until("the generators end", () => generators.every(({ hasEnded }) => hasEnded()), (SECONDS + 30) * 1_000);
  const after = { all: cpuTimeUs(pids), main: mainThreadTimeUs(pid) };
  const answers = generators.map(({ output }) => {
    const count = Number(output());
    if (!Number.isInteger(count)) throw new Error(`a generator failed:\n${output().slice(-2_000)}`);
    return count;
  });
  const total = answers.reduce((sum, count) => sum + count, 0);
  return {
    perSecond: total / SECONDS,
    cpuUs: (after.all - before.all) / total,
    mainThreadUs: (after.main - before.main) / total,
    aloneMs: await latencyMs(port, load.bytes),
  };
}

async function latencyMs(port: number, bytes: number): Promise<number> {
  const wire = await Wire.open(port);
  const request = requestBytes(KEY, "json", chatBody(AWAKE_MODEL, false, bytes));
  const tookMs: number[] = [];
  for (let count = 0; count < ALONE_REQUESTS; count += 1) {
    const beganAtMs = performance.now();
    await wire.ask(request);
    tookMs.push(performance.now() - beganAtMs);
  }
  wire.close();
  return medianOf(tookMs);
}
