/** What a proxy adds to the latency of a short request, at a rate that leaves it idle most of the time. */
import { setTimeout } from "node:timers/promises";
import { distributionOf, medianOf } from "../distribution.ts";
import type { Check, Table } from "../report.ts";
import { GO_LIBRARY, KEY, LLMUX, named, RUNTIME, type Contender, type Field } from "./contenders.ts";
import { AWAKE_MODEL, chatBody, requestBytes } from "./exchanges.ts";
import { Wire } from "./wire.ts";

const PER_SECOND = 500;
/** Short, since from second to second the machine's speed differs by more than the contenders do. */
const ROUND_MS = 400;
const ROUNDS = 35;
const WARM_UP_MS = 2_000;
const CONNECTIONS = 16;

/** Who is compared. */
const NAMES: readonly string[] = [
  "direct",
  "haproxy",
  "nginx",
  "llmux 0.3.0",
  "llama-swap",
  GO_LIBRARY,
  RUNTIME,
  LLMUX,
];

/** Of what haproxy adds. */
const TARGET = 1.5;

/** Requests at even distances, directly and through each proxy in turns. The median of a round against that of the direct one beside it. */
export async function addedLatency(field: Field): Promise<{ table: Table; checks: Check[] }> {
  const contenders = NAMES.map((name) => named(field, name)).filter((one) => one !== null);
  const medians = new Map<string, number[]>(contenders.map(({ name }) => [name, []]));
  const all = new Map<string, number[]>(contenders.map(({ name }) => [name, []]));
  const wires = new Map<Contender, Wire[]>();
  for (const contender of contenders) {
    const opened = Array.from({ length: CONNECTIONS }, () => Wire.open(contender.port));
    wires.set(contender, await Promise.all(opened));
    await play(contender, wires.get(contender) ?? [], WARM_UP_MS);
  }
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const contender of contenders) {
      const latencies = await play(contender, wires.get(contender) ?? [], ROUND_MS);
      medians.get(contender.name)?.push(medianOf(latencies));
      all.get(contender.name)?.push(...latencies);
    }
  }
  for (const wire of [...wires.values()].flat()) wire.close();
  const direct = medians.get("direct") ?? [];
  const addedBy = (name: string): number =>
    medianOf((medians.get(name) ?? []).map((median, round) => median - (direct[round] ?? 0)));
  const rows = contenders.map(({ name }) => {
    const { median, p90, p99 } = distributionOf(all.get(name) ?? []);
    return [name, median, p90, p99, name === "direct" ? "" : addedBy(name).toFixed(3)];
  });
  const columns = ["", "p50 ms", "p90", "p99", "added to p50"];
  const checks: Check[] = [];
  if (named(field, "haproxy") !== null) {
    const measured = addedBy(LLMUX) / addedBy("haproxy");
    checks.push({
      what: "added median latency: llmux to haproxy",
      measured,
      bound: "at most",
      target: TARGET,
      unit: "times",
    });
  }
  return {
    table: { title: `${PER_SECOND} requests/s, ${ROUNDS} rounds of ${ROUND_MS / 1_000} s`, columns, rows },
    checks,
  };
}

/** From sending to the last byte, in ms, for each request. Where all connections are in use, another one is added to `wires`. */
async function play({ port, name }: Contender, wires: Wire[], roundMs: number): Promise<number[]> {
  const request = requestBytes(KEY, "json", chatBody(AWAKE_MODEL, false));
  const idle = [...wires];
  const latencies: number[] = [];
  const running = new Set<Promise<void>>();
  const ask = async (wire: Wire): Promise<void> => {
    const sentAtMs = performance.now();
    const { status } = await wire.ask(request);
    if (status !== 200) throw new Error(`${name} answered ${status}`);
    latencies.push(performance.now() - sentAtMs);
    idle.push(wire);
  };
  const beganAtMs = performance.now();
  for (let sent = 0; sent < (PER_SECOND * roundMs) / 1_000; sent += 1) {
    const waitMs = beganAtMs + (sent * 1_000) / PER_SECOND - performance.now();
    if (waitMs > 0) await setTimeout(waitMs);
    const wire = idle.shift() ?? (await another(port, wires));
    const asked = ask(wire).finally(() => running.delete(asked));
    running.add(asked);
  }
  await Promise.all(running);
  return latencies;
}

async function another(port: number, wires: Wire[]): Promise<Wire> {
  const wire = await Wire.open(port);
  wires.push(wire);
  return wire;
}
