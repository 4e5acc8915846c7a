/** How many requests a second a policy sustains with a goodput of 90 %, and how many times those of another that is. */
import type { Arrival } from "../src/simulation/arrivals.ts";
import type { TraceRow } from "../src/simulation/trace-file.ts";
import { medianOf } from "./distribution.ts";
import type { BenchOptions } from "./options.ts";
import { DRAIN_BUDGET, FIFO, FULL_DRAIN, playUnder, STRICT_FIFO, type PolicySetup } from "./policy-setups.ts";
import type { Check, Report } from "./report.ts";
import { arrivalsIn, engineFigures, readWholeTrace, type EngineFigures } from "./traces.ts";

const SEEDS = 5;

const GOODPUT = 0.9;

/** Each of two hours; the first is that of the table, the others lie away from it. On the trace's clock, in s. */
const WINDOWS_FROM_S = [50_000, 20_000, 70_000] as const;
const WINDOW_S = 7_200;

/** Where a window is not enough, the next copy of the trace is the same window so much later, at the end beginning anew. */
const COPY_OFFSET_S = 9_000;

/** The search goes up in steps of this factor until the goodput is missed, and then halves the last step. */
const STEP = 1.15;
const LOWEST_LOAD = 0.05;
const HALVINGS = 4;

const SETUPS: readonly PolicySetup[] = [STRICT_FIFO, FIFO, FULL_DRAIN, DRAIN_BUDGET];

/** Searches the rate for every window, thinning and policy. Needs the trace of five models. */
export async function rate({ servegen, seeds = SEEDS }: BenchOptions): Promise<Report> {
  if (servegen === undefined) throw new Error("rate needs --servegen FILE");
  const { rows, models } = await readWholeTrace(servegen);
  const engines = engineFigures(models);
  const table: (string | number)[][] = [];
  const ratios = new Map(SETUPS.map((setup) => [setup, { strict: [] as number[], own: [] as number[] }]));
  for (const fromS of WINDOWS_FROM_S) {
    const bySetup = new Map(
      SETUPS.map((setup) => {
        const rates = Array.from({ length: seeds }, (_, seed) =>
          sustained(setup, engines, { rows, fromS, seed: seed + 1 }),
        );
        return [setup, rates];
      }),
    );
    for (const [setup, rates] of bySetup) {
      const against = (other: PolicySetup): number[] =>
        rates.map((one, seed) => one / (bySetup.get(other)?.[seed] ?? 0));
      const strict = against(STRICT_FIFO);
      const own = against(FIFO);
      table.push([`${fromS}–${fromS + WINDOW_S}`, setup.name, medianOf(rates), medianOf(strict), medianOf(own)]);
      ratios.get(setup)?.strict.push(...strict);
      ratios.get(setup)?.own.push(...own);
    }
  }
  const checks: Check[] = [];
  for (const [setup, { strict, own }] of ratios) {
    table.push(["all windows", setup.name, "", medianOf(strict), medianOf(own)]);
    if (setup !== FULL_DRAIN && setup !== DRAIN_BUDGET) continue;
    const what = `${setup.name}, against`;
    checks.push(
      { what: `${what} strict fifo`, measured: medianOf(strict), bound: "at least", target: 1.9, unit: "times" },
      { what: `${what} llmux's fifo`, measured: medianOf(own), bound: "at least", target: 1.9, unit: "times" },
    );
  }
  const columns = ["window", "policy", "requests/s", "times strict fifo", "times llmux's fifo"];
  return {
    tables: [{ title: `sustained at ${GOODPUT * 100} % goodput, medians of ${seeds} thinnings`, columns, rows: table }],
    checks,
    notes: [
      "Of each model's requests in the window a random share is kept, more and more, until less than 90 % of all have their first",
      "token within 30 s. Beyond the whole window the same span of time from elsewhere in the trace is laid over it.",
      "Strict fifo closes the gate at the first request for another model, as llmux 0.3.0 does; llmux's own fifo does not.",
    ],
  };
}

/** What a load is taken from. */
export interface Source {
  readonly rows: readonly TraceRow[];
  readonly fromS: number;
  readonly seed: number;
}

/** In requests a second. */
function sustained(setup: PolicySetup, engines: ReadonlyMap<string, EngineFigures>, source: Source): number {
  const goodput = (load: number): number => playUnder(setup, { engines, arrivals: loaded(source, load) }).goodput;
  let good = LOWEST_LOAD;
  if (goodput(good) < GOODPUT) return 0;
  let bad = good * STEP;
  while (goodput(bad) >= GOODPUT) {
    good = bad;
    bad *= STEP;
  }
  for (let halving = 0; halving < HALVINGS; halving += 1) {
    const middle = (good + bad) / 2;
    if (goodput(middle) >= GOODPUT) good = middle;
    else bad = middle;
  }
  return loaded(source, good).length / WINDOW_S;
}

/** So many times the window's requests. More load is always the same requests and others besides. */
export function loaded({ rows, fromS, seed }: Source, load: number): Arrival[] {
  const endS = (rows.at(-1)?.timestampS ?? 0) - WINDOW_S;
  const copies = Array.from({ length: Math.ceil(load) }, (_, copy) => {
    const copyFromS = (fromS + copy * COPY_OFFSET_S) % endS;
    const keep = Math.min(1, load - copy);
    const shifted = { fromS: copyFromS, toS: copyFromS + WINDOW_S, keep, seed: seed + copy * 1_000 };
    return arrivalsIn(rows, shifted, copyFromS);
  });
  return copies.flat().sort((a, b) => a.atMs - b.atMs);
}
