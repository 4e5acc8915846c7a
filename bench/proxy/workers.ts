/** What a second worker gives: JSON requests through one and through two, in turns. */
import { availableParallelism, loadavg } from "node:os";
import { fileURLToPath } from "node:url";
import { until } from "../../test/support/until.ts";
import { BenchGround } from "../bench-ground.ts";
import { medianOf } from "../distribution.ts";
import type { Report } from "../report.ts";
import { KEY, startThisLlmux, type Contender } from "./contenders.ts";
import { cpuTimeUs, mainThreadTimeUs } from "./cpu-time.ts";
import { AWAKE_MODEL, chatBody, requestBytes } from "./exchanges.ts";
import { Wire } from "./wire.ts";

const GENERATOR = fileURLToPath(new URL("./generator.ts", import.meta.url));

const GENERATORS = 2;
const CONNECTIONS_EACH = 32;
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

/** Plays the same load to each, one after the other, in every round. */
export async function workers(): Promise<Report> {
  await using ground = new BenchGround(null);
  const contenders = new Map<number, Contender>();
  for (const count of WORKERS) contenders.set(count, await startThisLlmux(ground, [], { workers: count }));
  const rounds = new Map<number, Round[]>(WORKERS.map((count) => [count, []]));
  for (let round = -WARM_UP_ROUNDS; round < ROUNDS; round += 1) {
    for (const [count, contender] of contenders) {
      const played = await play(ground, contender);
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
  return {
    tables: [{ title: `JSON chat requests of 1.5 KB, 64 at a time; medians of ${ROUNDS} rounds`, columns, rows }],
    checks: [],
    notes: [
      `The load comes from ${GENERATORS} processes and goes to one upstream process; all of them share ${availableParallelism()} cores with llmux.`,
      `Load average at the end: ${(loadavg()[0] ?? 0).toFixed(1)}.`,
    ],
  };
}

async function play(ground: BenchGround, { port, pid, pids }: Contender): Promise<Round> {
  const before = { all: cpuTimeUs(pids), main: mainThreadTimeUs(pid) };
  const args = [String(port), String(CONNECTIONS_EACH), String(SECONDS), KEY];
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
    aloneMs: await latencyMs(port),
  };
}

async function latencyMs(port: number): Promise<number> {
  const wire = await Wire.open(port);
  const request = requestBytes(KEY, "json", chatBody(AWAKE_MODEL, false));
  const tookMs: number[] = [];
  for (let count = 0; count < ALONE_REQUESTS; count += 1) {
    const beganAtMs = performance.now();
    await wire.ask(request);
    tookMs.push(performance.now() - beganAtMs);
  }
  wire.close();
  return medianOf(tookMs);
}
