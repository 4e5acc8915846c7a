/** What the policies make of two traces: the table that the default policy was chosen by. */
import { medianOf } from "./distribution.ts";
import type { BenchOptions } from "./options.ts";
import { DRAIN_BUDGET, FIFO, FULL_DRAIN, playUnder, STRICT_FIFO, type PolicySetup } from "./policy-setups.ts";
import type { Report as Simulated } from "../src/simulation/report.ts";
import type { Check, Report } from "./report.ts";
import { arrivalsIn, engineFigures, readWholeTrace, type Trace } from "./traces.ts";

const SEEDS = 5;

interface Cell {
  readonly goodput: number;
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
  /** What the policy promised; a dash where it promised nothing. */
  readonly bound: number | string;
  readonly switches: number;
  readonly switchShare: number;
  readonly drainShare: number;
}

interface Case {
  readonly trace: "servegen" | "azure";
  readonly fromS: number;
  readonly toS: number;
  readonly keep: number;
  /** What another simulator gave under `COMPARED`, in the same order: goodput in %, median and 99th percentile in s. */
  readonly others: readonly (readonly [number, number, number])[];
}

const SERVEGEN = { trace: "servegen", fromS: 50_000, toS: 57_200 } as const;
const AZURE = { trace: "azure", fromS: 1_800, toS: 3_590 } as const;

const CASES: readonly Case[] = [
  {
    ...SERVEGEN,
    keep: 0.1,
    others: [
      [99.6, 3.3, 26],
      [99.7, 2.3, 21],
      [99.9, 2.3, 18],
    ],
  },
  {
    ...SERVEGEN,
    keep: 0.3,
    others: [
      [88.3, 12.7, 49],
      [97.3, 3.8, 43],
      [98.8, 4.2, 31],
    ],
  },
  {
    ...SERVEGEN,
    keep: 0.8,
    others: [
      [63.7, 23, 69],
      [86.4, 8.3, 71],
      [89.3, 8.3, 53],
    ],
  },
  {
    ...AZURE,
    keep: 0.1,
    others: [
      [100, 3.1, 16],
      [100, 0.2, 12],
      [100, 0.2, 11],
    ],
  },
  {
    ...AZURE,
    keep: 0.3,
    others: [
      [97.1, 8.9, 34],
      [99.6, 3.9, 26],
      [98.6, 4, 32],
    ],
  },
];

/** In the order of `Case.others`; strict fifo beside the one that is compared, as it may be what the others called fifo. */
const COMPARED: readonly PolicySetup[] = [FIFO, FULL_DRAIN, DRAIN_BUDGET];

/** So many points of goodput less than what another simulator gave are noise: another thinning, other seeds. */
const NOISE_POINTS = 2;

/** Plays every case under every policy. Needs both traces. */
export async function policies({ servegen, azure, seeds = SEEDS }: BenchOptions): Promise<Report> {
  if (servegen === undefined || azure === undefined) throw new Error("policies needs --servegen FILE and --azure FILE");
  const traces = { servegen: await readWholeTrace(servegen), azure: await readWholeTrace(azure) };
  const rows: (string | number)[][] = [];
  const checks: Check[] = [];
  for (const one of CASES) {
    const trace = traces[one.trace];
    for (const setup of [STRICT_FIFO, ...COMPARED]) {
      const cell = measure(trace, one, setup, seeds);
      const others = one.others[COMPARED.indexOf(setup)];
      rows.push([nameOf(one), setup.name, ...Object.values(cell), others === undefined ? "" : others.join(" / ")]);
      if (others === undefined || setup === FIFO) continue;
      const what = `${nameOf(one)}, ${setup.name}: goodput`;
      checks.push({ what, measured: cell.goodput, bound: "at least", target: others[0] - NOISE_POINTS, unit: "%" });
    }
  }
  return {
    tables: [{ title: `the median of ${seeds} thinnings`, columns: COLUMNS, rows }],
    checks,
    notes: [
      "Goodput: first token within 30 s, of all requests, in %. TTFT in s. Shares of the GPU's time in %.",
      "The last column: goodput, p50 and p99 of another simulator with another thinning; targets allow for two points of noise.",
    ],
  };
}

const COLUMNS = [
  "workload",
  "policy",
  "goodput",
  "TTFT p50",
  "p99",
  "max",
  "bound",
  "switches",
  "switching",
  "draining",
  "another simulator",
];

function nameOf({ trace, keep }: Case): string {
  return `${trace}, keep ${keep * 100} %`;
}

/** The median; throws when somebody waited for longer than was promised. */
function boundOf(reports: readonly Simulated[]): number | string {
  const bounds = reports.flatMap(({ bound_s }) => (bound_s === null ? [] : [bound_s]));
  if (bounds.length < reports.length) return "-";
  for (const { bound_s, ttft_s } of reports) {
    if ((ttft_s.max ?? 0) > (bound_s ?? 0))
      throw new Error(`a wait of ${ttft_s.max} s broke the bound of ${bound_s} s`);
  }
  return medianOf(bounds);
}

function measure(trace: Trace, { fromS, toS, keep }: Case, setup: PolicySetup, seeds: number): Cell {
  const engines = engineFigures(trace.models);
  const reports = Array.from({ length: seeds }, (_, index) => {
    return playUnder(setup, { engines, arrivals: arrivalsIn(trace.rows, { fromS, toS, keep, seed: index + 1 }) });
  });
  const median = (figure: (report: (typeof reports)[number]) => number): number => medianOf(reports.map(figure));
  return {
    goodput: 100 * median(({ goodput }) => goodput),
    p50: median(({ ttft_s }) => ttft_s.p50 ?? Infinity),
    p99: median(({ ttft_s }) => ttft_s.p99 ?? Infinity),
    max: median(({ ttft_s }) => ttft_s.max ?? Infinity),
    bound: boundOf(reports),
    switches: median(({ switches }) => switches),
    switchShare: 100 * median(({ switch_share }) => switch_share),
    drainShare: 100 * median(({ drain_share }) => drain_share),
  };
}
