/** Whether anybody is forgotten: a lone request behind a model that is never idle, and everybody behind generations that take minutes. */
import type { Arrival } from "../src/simulation/arrivals.ts";
import { Random } from "../src/simulation/random.ts";
import { medianOf } from "./distribution.ts";
import { DRAIN_BUDGET, FIFO, FULL_DRAIN, playUnder, type PolicySetup, type Workload } from "./policy-setups.ts";
import type { BenchOptions } from "./options.ts";
import type { Check, Report, Table } from "./report.ts";
import { SIZE_8B, SIZE_14B } from "./traces.ts";

const SEEDS = 5;

/** Two hours of requests that are independent of each other, prompts and answers of exponential length with these means. */
const DURATION_MS = 2 * 3_600_000;
const PROMPT_TOKENS = 500;
const ANSWER_TOKENS = 200;

/** So often somebody asks for the other model, for the first time after half of it. */
const LONE_EVERY_MS = 400_000;
const SATURATED_PER_S = 6;

/** Of two models that are asked for equally often, together so often, one request in a hundred asks for a whole book. */
const MIXED_PER_S = 1;
const LONG_SHARE = 0.01;
const LONG_TOKENS = 16_000;

const ENGINES = new Map([
  ["busy", SIZE_8B],
  ["other", SIZE_14B],
]);

/** Plays both. */
export function starvation({ seeds = SEEDS }: BenchOptions): Promise<Report> {
  const numbers = Array.from({ length: seeds }, (_, index) => index + 1);
  const checks: Check[] = [];
  const tables = [loneRequests(numbers, checks), longAnswers(numbers, checks)];
  return Promise.resolve({ tables, checks, notes: NOTES });
}

const NOTES = [
  `Two models, 8B ("busy") and 14B ("other"), one GPU, one awake; two hours; Poisson arrivals; prompts and answers of exponential length`,
  `with means of ${PROMPT_TOKENS} and ${ANSWER_TOKENS} tokens. Lone: ${SATURATED_PER_S} requests/s for busy, one for other every ${LONE_EVERY_MS / 1000} s. Long: ${MIXED_PER_S} request/s, for`,
  `either model with the same chance; ${LONG_SHARE * 100} % of all answers have ${LONG_TOKENS.toLocaleString("en")} tokens, and none is cut.`,
];

function loneRequests(seeds: readonly number[], checks: Check[]): Table {
  const rows = [FIFO, FULL_DRAIN, DRAIN_BUDGET].map((setup) => {
    const reports = seeds.map((seed) => playUnder(setup, { engines: ENGINES, arrivals: loneAmongMany(seed) }));
    const others = reports.map(({ models }) => models["other"]?.ttft_s);
    const longest = Math.max(...others.map((ttft) => ttft?.max ?? Infinity));
    const busy = medianOf(reports.map(({ models }) => 100 * (models["busy"]?.goodput ?? 0)));
    if (setup !== FIFO) {
      const what = `lone request, ${setup.name}: longest wait`;
      checks.push({ what, measured: longest, bound: "at most", target: 40, unit: "s" });
    }
    return [setup.name, longest, medianOf(others.map((ttft) => ttft?.p50 ?? Infinity)), busy];
  });
  const columns = ["policy", "lone: longest wait in s", "median", "busy: goodput"];
  return { title: `a lone request behind a saturated model, ${seeds.length} seeds`, columns, rows };
}

function longAnswers(seeds: readonly number[], checks: Check[]): Table {
  const goodput = new Map<PolicySetup, number>();
  const rows = [FIFO, FULL_DRAIN, DRAIN_BUDGET].map((setup) => {
    const reports = seeds.map((seed) => playUnder(setup, withLongAnswers(seed)));
    const median = 100 * medianOf(reports.map((report) => report.goodput));
    goodput.set(setup, median);
    const ttft = (figure: "p50" | "p99" | "max"): number =>
      medianOf(reports.map(({ ttft_s }) => ttft_s[figure] ?? Infinity));
    const drain = 100 * medianOf(reports.map(({ drain_share }) => drain_share));
    return [setup.name, median, ttft("p50"), ttft("p99"), ttft("max"), drain];
  });
  const measured = (goodput.get(DRAIN_BUDGET) ?? 0) / (goodput.get(FULL_DRAIN) ?? 0);
  const what = "long answers: goodput with the budget, against that without";
  checks.push({ what, measured, bound: "at least", target: 2, unit: "times" });
  const columns = ["policy", "goodput", "TTFT p50", "p99", "max", "draining"];
  return { title: `one answer in a hundred is very long, medians of ${seeds.length} seeds`, columns, rows };
}

function loneAmongMany(seed: number): Arrival[] {
  const random = new Random(seed);
  const busy = poisson(random, SATURATED_PER_S, () => "busy");
  const count = Math.floor(DURATION_MS / LONE_EVERY_MS);
  const other = Array.from({ length: count }, (_, index): Arrival => {
    return request(random, (index + 0.5) * LONE_EVERY_MS, "other");
  });
  return [...busy, ...other].sort((a, b) => a.atMs - b.atMs);
}

function withLongAnswers(seed: number): Workload {
  const random = new Random(seed);
  const usual = poisson(random, MIXED_PER_S, () => (random.chance(0.5) ? "busy" : "other"));
  const long = usual.filter(() => random.chance(LONG_SHARE));
  const isLong = new Set(long);
  const arrivals = [
    ...usual.filter((arrival) => !isLong.has(arrival)),
    ...long.map(({ atMs, model, promptTokens }): Arrival => ({ atMs, model, promptTokens, outputTokens: LONG_TOKENS })),
  ];
  return { engines: ENGINES, arrivals: arrivals.sort((a, b) => a.atMs - b.atMs), outputTokensMax: LONG_TOKENS };
}

function poisson(random: Random, perSecond: number, model: () => string): Arrival[] {
  const arrivals: Arrival[] = [];
  for (let atMs = 0; ;) {
    atMs += random.exponential(1000 / perSecond);
    if (atMs >= DURATION_MS) return arrivals;
    arrivals.push(request(random, atMs, model()));
  }
}

function request(random: Random, atMs: number, model: string): Arrival {
  const tokens = (mean: number): number => 1 + Math.floor(random.exponential(mean));
  return { atMs, model, promptTokens: tokens(PROMPT_TOKENS), outputTokens: tokens(ANSWER_TOKENS) };
}
