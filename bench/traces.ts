/** Traces of requests as the benchmarks play them, with the engines that serve them. */
import type { Arrival } from "../src/simulation/arrivals.ts";
import { newThinning, type Selection } from "../src/simulation/thinning.ts";
import { readTrace, type TraceRow } from "../src/simulation/trace-file.ts";

/** A trace in memory, so that many parts of it can be played. */
export interface Trace {
  readonly rows: readonly TraceRow[];
  /** In the order in which they appear. */
  readonly models: readonly string[];
}

/** How fast one model's engine is; keys as in a configuration. */
export interface EngineFigures {
  readonly itl_ms: number;
  readonly prefill_tokens_per_s: number;
  readonly sleep_s: number;
  readonly wake_s: number;
}

/** A small model's engine. */
export const SIZE_8B: EngineFigures = { itl_ms: 10, prefill_tokens_per_s: 12_000, sleep_s: 0.8, wake_s: 1 };

/** One of middle size. */
export const SIZE_14B: EngineFigures = { itl_ms: 16, prefill_tokens_per_s: 8_000, sleep_s: 1.2, wake_s: 1.6 };
const SIZE_32B: EngineFigures = { itl_ms: 30, prefill_tokens_per_s: 4_000, sleep_s: 2.5, wake_s: 3 };

/** Of the models of a trace, in the order in which they appear; after these it begins anew. */
const SIZES = [SIZE_8B, SIZE_14B, SIZE_32B, SIZE_8B, SIZE_14B] as const;

/** Reads all of it. Throws `TraceError` when it cannot be used. */
export async function readWholeTrace(file: string): Promise<Trace> {
  const rows: TraceRow[] = [];
  for await (const row of readTrace(file)) rows.push(row);
  return { rows, models: [...new Set(rows.map(({ model }) => model))] };
}

/** Every model of a trace with its engine. */
export function engineFigures(models: readonly string[]): ReadonlyMap<string, EngineFigures> {
  return new Map(models.map((model, index) => [model, SIZES[index % SIZES.length] ?? SIZE_8B]));
}

/** The requests of a part of a trace, on a clock that begins at this second of the trace's: at the first of them unless given. */
export function arrivalsIn(rows: readonly TraceRow[], selection: Selection, clockFromS?: number): Arrival[] {
  const isKept = newThinning(selection);
  const kept = rows.filter((row) => isKept(row));
  const beginsAtS = clockFromS ?? kept[0]?.timestampS ?? 0;
  return kept.map(({ timestampS, model, promptTokens, outputTokens }) => {
    return { atMs: (timestampS - beginsAtS) * 1000, model, promptTokens, outputTokens };
  });
}
