/** What llmux costs as a proxy, beside others: CPU, latency, memory, large bodies. Everything in one run, and in turns. */
import { loadavg } from "node:os";
import { BenchGround } from "../bench-ground.ts";
import type { Check, Report, Table } from "../report.ts";
import { addedLatency } from "./latency.ts";
import { bigBodies } from "./big-bodies.ts";
import { startField } from "./contenders.ts";
import { memory } from "./memory.ts";
import { CHUNK_BOUNDS, CHUNK_STREAMS, LONG_REQUESTS, REQUEST_BOUNDS, REQUESTS, throughput } from "./throughput.ts";

interface Part {
  readonly tables: readonly Table[];
  readonly checks: readonly Check[];
}

/** Runs all parts; those proxies that are not installed are left out, and a note says so. */
export async function proxy(): Promise<Report> {
  await using ground = new BenchGround(null);
  const field = await startField(ground);
  const tables: Table[] = [];
  const checks: Check[] = [];
  const loads: string[] = [];
  const keep = (name: string, part: Part): void => {
    tables.push(...part.tables);
    checks.push(...part.checks);
    console.error(`${name}: done`);
    loads.push(`${name} ${(loadavg()[0] ?? 0).toFixed(1)}`);
  };
  keep("requests", single(await throughput(field, REQUESTS, REQUEST_BOUNDS)));
  keep("long requests", single(await throughput(field, LONG_REQUESTS)));
  keep("chunks", single(await throughput(field, CHUNK_STREAMS, CHUNK_BOUNDS)));
  keep("latency", single(await addedLatency(field)));
  keep("large bodies", single(await bigBodies(field)));
  keep("memory", await memory(field, ground));
  return {
    tables,
    checks,
    notes: [
      ...field.notes,
      "CPU is that of the proxy's own processes. llmux asks for API keys (100 are configured, each with limits), keeps metrics and",
      "records a trace; the others do nothing but pass on. nginx writes large bodies to disk before it passes them on, as llmux does.",
      `Load average at the end of each part: ${loads.join(", ")}.`,
    ],
  };
}

function single({ table, checks }: { readonly table: Table; readonly checks: readonly Check[] }): Part {
  return { tables: [table], checks };
}
