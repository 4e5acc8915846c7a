/** The command line of the benchmarks: which ones, and what some of them need to be told. */
import { parseArgs } from "node:util";

/** What some benchmarks need; each says itself which. */
export interface BenchOptions {
  /** The path of a trace of five models made with ServeGen. */
  readonly servegen?: string;
  /** The path of Azure's two services on one clock. */
  readonly azure?: string;
  /** The path of any trace. */
  readonly trace?: string;
  /** On that trace's clock, in s. */
  readonly from?: number;
  readonly to?: number;
  /** The share that is kept of that trace's requests, from 0 (excluded) to 1. */
  readonly keep?: number;
  /** How many thinnings of a trace are played, each with a seed of its own from 1 on. */
  readonly seeds?: number;
}

/** What the command line says. */
export interface BenchCommand {
  /** Those that are named; none for all. */
  readonly names: readonly string[];
  readonly options: BenchOptions;
}

/** Reads the arguments after the program. Throws an error with one sentence when they make no sense. */
export function readCommand(args: readonly string[]): BenchCommand {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      servegen: { type: "string" },
      azure: { type: "string" },
      trace: { type: "string" },
      from: { type: "string" },
      to: { type: "string" },
      keep: { type: "string" },
      seeds: { type: "string" },
    },
  });
  const { servegen, azure, trace, ...numbers } = values;
  return {
    names: positionals,
    options: {
      ...(servegen === undefined ? {} : { servegen }),
      ...(azure === undefined ? {} : { azure }),
      ...(trace === undefined ? {} : { trace }),
      ...Object.fromEntries(Object.entries(numbers).map(([name, text]) => [name, numberOf(name, text)])),
    },
  };
}

function numberOf(name: string, text: string): number {
  const value = text.trim() === "" ? Number.NaN : Number(text);
  if (!Number.isFinite(value) || value < 0)
    throw new Error(`--${name}: expected a number of at least 0, found ${text}`);
  return value;
}
