/** Draws a run: who was awake when, how many waited, and for how long, over one axis of time. A single SVG that needs nothing else. */
import { queuePanel } from "./queue-panel.ts";
import type { Report } from "./report.ts";
import { residencyLegend, residencyPanel } from "./residency-panel.ts";
import type { Run } from "./run.ts";
import { label, path, roundSteps, short, xOf, type Plot } from "./svg.ts";
import { waitPanel } from "./wait-panel.ts";

const WIDTH = 1200;

const LEFT = 190;

const RIGHT = 20;

/** Between the line that names a panel and the panel. */
const UNDER_TITLE = 12;

const BETWEEN_PANELS = 40;

/** What is drawn. */
export interface Sketch {
  readonly run: Run;
  readonly report: Report;
  /** The devices of each model, in the order in which the models are drawn. */
  readonly devices: ReadonlyMap<string, readonly string[]>;
  /** Where the run begins on the trace's clock, in s. */
  readonly beginsAtS: number;
}

/** The text of the SVG. */
export function drawRun({ run, report, devices, beginsAtS }: Sketch): string {
  const plot: Plot = { left: LEFT, width: WIDTH - LEFT - RIGHT, durationMs: run.durationMs };
  const order = [...devices.keys()];
  let y = 92;
  let body = "";
  const panels = [
    residencyPanel(plot, devices, run.states),
    queuePanel(plot, order, run.requests),
    waitPanel(plot, order, run.requests, report.slo_s),
  ];
  for (const { title, svg, height } of panels) {
    body += label(LEFT, y, title, 'class="title"');
    y += UNDER_TITLE;
    body += `<g transform="translate(0 ${short(y)})">\n${svg}</g>\n`;
    y += height + BETWEEN_PANELS;
  }
  const bottom = y - BETWEEN_PANELS + 6;
  const axis = timeAxis(plot, bottom, beginsAtS);
  return `${opening(bottom + 44)}${heading(report)}${axis}${body}</svg>\n`;
}

function opening(height: number): string {
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${short(height)}" viewBox="0 0 ${WIDTH} ${short(height)}" font-family="DejaVu Sans, Verdana, sans-serif" font-size="13" fill="#212529">
<style>.small{font-size:11px}.title{font-size:14px;font-weight:bold}.name{font-weight:bold}.head{font-size:18px;font-weight:bold}</style>
<rect width="100%" height="100%" fill="#fff"/>
`;
}

function heading(report: Report): string {
  const { goodput, ttft_s, switches, switch_share, drain_share } = report;
  const figures = [
    `goodput ${percent(goodput)}`,
    `first token p50 ${seconds(ttft_s.p50)}, p99 ${seconds(ttft_s.p99)}, at most ${seconds(ttft_s.max)}`,
    `${switches} switches take ${percent(switch_share)} of the time, draining ${percent(drain_share)}`,
  ];
  return (
    label(LEFT, 30, `${report.policy}, ${report.requests} requests`, 'class="head"') +
    label(LEFT, 52, figures.join("; ")) +
    residencyLegend(LEFT + 160, 92)
  );
}

function percent(part: number): string {
  return `${(part * 100).toFixed(1)} %`;
}

function seconds(value: number | null): string {
  return value === null ? "n/a" : `${value.toFixed(1)} s`;
}

/** Lines from top to bottom, and under them the seconds of the trace. */
function timeAxis(plot: Plot, bottom: number, beginsAtS: number): string {
  const values = roundSteps(beginsAtS, beginsAtS + plot.durationMs / 1000, 10);
  const marks = values.map((value) => {
    const x = xOf(plot, (value - beginsAtS) * 1000);
    return (
      path(`M${short(x)} 100V${short(bottom)}`, 'stroke="#dee2e6"') +
      label(x, bottom + 16, short(value), 'text-anchor="middle" class="small"')
    );
  });
  const name = label(plot.left, bottom + 34, "seconds of the trace", 'class="small"');
  return marks.join("") + name;
}
