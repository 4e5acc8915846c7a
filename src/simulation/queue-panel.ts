/** The panel of how many waited: for each model, the requests that have not had their first token yet, one upon the other. */
import type { RequestOutcome } from "./run.ts";
import { addSpan, stackedSteps, totalsOf, type Layer } from "./stacked-steps.ts";
import { colourOf, scale, ticks, type Panel, type Plot } from "./svg.ts";

const HEIGHT = 150;

const COLUMNS = 500;

/** Each column shows the average over its time. */
export function queuePanel(plot: Plot, order: readonly string[], requests: readonly RequestOutcome[]): Panel {
  const byModel = Map.groupBy(requests, ({ arrival }) => arrival.model);
  const layers = order.map((model, index): Layer => {
    return { heights: waitingIn(byModel.get(model) ?? [], plot.durationMs), style: `fill="${colourOf(index)}"` };
  });
  const max = totalsOf(layers).reduce((most, count) => Math.max(most, count), 1);
  const y = (count: number): number => HEIGHT - (count / max) * HEIGHT;
  const svg = scale(plot, ticks(max, 5), y, "") + stackedSteps(plot, layers, y);
  return { title: "Requests that waited for their first token", svg, height: HEIGHT };
}

/** How many waited in each column, on average. */
function waitingIn(requests: readonly RequestOutcome[], durationMs: number): Float64Array {
  const columns = new Float64Array(COLUMNS);
  for (const { arrival, firstTokenAtMs, overAtMs } of requests) {
    const untilMs = firstTokenAtMs ?? overAtMs ?? durationMs;
    addSpan(columns, arrival.atMs / durationMs, untilMs / durationMs);
  }
  return columns;
}
