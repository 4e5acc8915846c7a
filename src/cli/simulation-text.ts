/** The figures of a simulated run as a person reads them. */
import type { ModelFigures, Report, RequestFigures, Spread } from "../simulation/report.ts";
import { renderTable } from "./table.ts";

/** Lines with their ends; `width` of the terminal, null for as wide as it comes. */
export function simulationText(report: Report, width: number | null): string {
  const { switches, switch_share, drain_share, bound_s, ttft_s, duration_s } = report;
  const bound =
    bound_s === null ? "the policy states no bound" : `never above ${shown(bound_s)}, by the policy's bound`;
  const lines = [
    `${report.policy}: ${report.requests} requests in ${shown(duration_s)}`,
    `goodput      ${percent(report.goodput)} had their first token within ${shown(report.slo_s)}`,
    `first token  after ${shown(ttft_s.mean)} on average, ${shown(ttft_s.max)} at most; ${bound}`,
    `switches     ${switches}: ${percent(switch_share)} of the GPUs' time, and ${percent(drain_share)} for draining`,
    ...missed(report),
    "",
  ];
  const rows = Object.entries(report.models).map(([name, figures]) => modelRow(name, figures));
  const all = ["all", ...cells(report), String(switches), ""];
  return `${lines.join("\n")}\n${renderTable(COLUMNS, rows.length > 1 ? [...rows, all] : rows, width)}`;
}

const COLUMNS = [
  { title: "MODEL", shrinkTo: 12 },
  "REQUESTS",
  "GOODPUT",
  "TTFT P50",
  "P95",
  "P99",
  "MAX",
  "E2E P50",
  "P99",
  "WAKES",
  "AWAKE",
];

/** What did not end well, in a line; nothing where all did. */
function missed({ refused, aborted, unfinished }: RequestFigures): string[] {
  const parts = [
    ...(refused === 0 ? [] : [`${refused} refused`]),
    ...(aborted === 0 ? [] : [`${aborted} aborted by a switch`]),
    ...(unfinished === 0 ? [] : [`${unfinished} unfinished 30 minutes after the last arrival`]),
  ];
  return parts.length === 0 ? [] : [`not served   ${parts.join(", ")}`];
}

function modelRow(name: string, figures: ModelFigures): string[] {
  return [name, ...cells(figures), String(figures.switches), percent(figures.awake_share)];
}

function cells({ requests, goodput, ttft_s, e2e_s }: RequestFigures): string[] {
  const { p50, p95, p99, max }: Spread = ttft_s;
  return [String(requests), percent(goodput), ...[p50, p95, p99, max, e2e_s.p50, e2e_s.p99].map(shown)];
}

function percent(part: number): string {
  return `${(part * 100).toFixed(1)} %`;
}

function shown(seconds: number | null): string {
  if (seconds === null) return "n/a";
  return seconds < 10 ? `${seconds.toFixed(2)} s` : `${seconds.toFixed(seconds < 100 ? 1 : 0)} s`;
}
