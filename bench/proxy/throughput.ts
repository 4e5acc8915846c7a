/** CPU of each proxy for a short request and for a chunk of a stream, all in turns. */
import { setTimeout } from "node:timers/promises";
import { medianOf } from "../distribution.ts";
import type { Check, Table } from "../report.ts";
import { GO_LIBRARY, KEY, LLMUX, named, type Contender, type Field } from "./contenders.ts";
import { cpuTimeUs } from "./cpu-time.ts";
import { AWAKE_MODEL, chatBody, CHUNK_EVERY_MS, CHUNKS, requestBytes, SHORT_BYTES, type Kind } from "./exchanges.ts";
import { Wire } from "./wire.ts";

/** One kind of load. */
interface Load {
  readonly kind: Kind;
  readonly title: string;
  readonly unit: string;
  readonly connections: number;
  /** Of a request's body. */
  readonly bytes: number;
  /** In one round, all connections together. */
  readonly requests: number;
  /** In one request. */
  readonly units: number;
  readonly rounds: number;
  /** Rounds before those: a program that is compiled as it runs is not what it will be after its first requests. */
  readonly warmUpRounds: number;
  /**
   * Between the first requests of two connections. Streams that begin together stay in step, and what comes in one moment costs less; a
   * proxy that takes longer for its first requests would be alone in spreading them.
   */
  readonly apartMs: number;
}

/** A short chat. */
export const REQUESTS: Load = {
  kind: "json",
  title: "JSON chat requests of 1.5 KB, 64 at a time",
  unit: "µs/request",
  bytes: SHORT_BYTES,
  connections: 64,
  requests: 6_000,
  units: 1,
  rounds: 7,
  warmUpRounds: 8,
  apartMs: 0,
};

/** A long conversation, with all that an agent has read. */
export const LONG_REQUESTS: Load = {
  kind: "json",
  title: "JSON chat requests of 256 KB, 16 at a time",
  unit: "µs/long request",
  bytes: 256_000,
  connections: 16,
  requests: 1_000,
  units: 1,
  rounds: 7,
  warmUpRounds: 3,
  apartMs: 0,
};

/** Answers that come word by word. */
export const CHUNK_STREAMS: Load = {
  kind: "stream",
  title: `streams of ${CHUNKS} chunks, one each 5 ms, 50 at once`,
  unit: "µs/chunk",
  bytes: SHORT_BYTES,
  connections: 50,
  // So many that all connections are busy for most of the round: they begin and end one after the other, for two thirds of a second each.
  requests: 500,
  units: CHUNKS,
  rounds: 7,
  warmUpRounds: 2,
  apartMs: (CHUNKS * CHUNK_EVERY_MS) / 50,
};

/** Of the CPU of llmux, to that of a peer: at most this. */
type Bounds = Readonly<Record<string, number>>;

/** What is asked of a request, and of a chunk. llama-swap costs no less than the library that it uses. */
export const REQUEST_BOUNDS: Bounds = { nginx: 3, "llmux 0.3.0": 1.3, "llama-swap": 1, [GO_LIBRARY]: 1 };
export const CHUNK_BOUNDS: Bounds = { nginx: 1.6, "llmux 0.3.0": 1, "llama-swap": 1, [GO_LIBRARY]: 1 };

interface Round {
  readonly cpuUs: number;
  readonly perSecond: number;
}

/** Plays the load through every contender, in turns, and compares. */
export async function throughput(
  field: Field,
  load: Load,
  bounds: Bounds = {},
): Promise<{ table: Table; checks: Check[] }> {
  const rounds = new Map<string, Round[]>(field.contenders.map(({ name }) => [name, []]));
  for (let round = 0; round < load.warmUpRounds; round += 1) {
    for (const contender of field.contenders) await play(contender, load);
  }
  for (let round = 0; round < load.rounds; round += 1) {
    for (const contender of field.contenders) rounds.get(contender.name)?.push(await play(contender, load));
  }
  const cpuOf = (name: string): number => medianOf((rounds.get(name) ?? []).map(({ cpuUs }) => cpuUs));
  const own = cpuOf(LLMUX);
  const rows = field.contenders.map(({ name }) => {
    const all = rounds.get(name) ?? [];
    const figures = all.map(({ cpuUs }) => cpuUs);
    const rate = medianOf(all.map(({ perSecond }) => perSecond));
    return [name, cpuOf(name), Math.min(...figures), Math.max(...figures), own / cpuOf(name), rate];
  });
  const checks = Object.entries(bounds)
    .filter(([name]) => named(field, name) !== null)
    .map(([name, target]): Check => {
      const what = `${load.unit}: llmux to ${name}`;
      return { what, measured: own / cpuOf(name), bound: "at most", target, unit: "times" };
    });
  const columns = ["", load.unit, "least", "most", "llmux is", "units/s"];
  return { table: { title: `${load.title}; medians of ${load.rounds} rounds`, columns, rows }, checks };
}

/** One round: each connection asks again as soon as it has its answer. */
async function play({ port, pids, name }: Contender, load: Load): Promise<Round> {
  const { kind, bytes, connections, units, apartMs } = load;
  const request = requestBytes(KEY, kind, chatBody(AWAKE_MODEL, kind !== "json", bytes));
  const wires = await Promise.all(Array.from({ length: connections }, () => Wire.open(port)));
  let left = load.requests;
  const work = async (wire: Wire, index: number): Promise<void> => {
    if (apartMs > 0) await setTimeout(index * apartMs);
    while (left > 0) {
      left -= 1;
      const { status } = await wire.ask(request);
      if (status !== 200) throw new Error(`${name} answered ${status}`);
    }
  };
  const beganAtMs = performance.now();
  const before = cpuTimeUs(pids);
  await Promise.all(wires.map(work));
  const total = load.requests * units;
  const cpuUs = (cpuTimeUs(pids) - before) / total;
  const perSecond = (total / (performance.now() - beganAtMs)) * 1_000;
  for (const wire of wires) wire.close();
  return { cpuUs, perSecond };
}
