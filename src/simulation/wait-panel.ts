/** The panel of how long it took: a dot for each request, where it arrived and how long it waited for its first token. */
import type { RequestOutcome } from "./run.ts";
import { colourOf, label, path, scale, short, ticks, xOf, type Panel, type Plot } from "./svg.ts";

const HEIGHT = 220;

/** Above the scale, where requests without a first token are marked. */
const HEADROOM = 16;

/** More requests than this have smaller dots. */
const MANY = 10_000;

/** Dots that fall on one another are drawn once, so that the file stays small however many requests there are. */
export function waitPanel(
  plot: Plot,
  order: readonly string[],
  requests: readonly RequestOutcome[],
  sloS: number,
): Panel {
  const maxS = requests.reduce((most, request) => Math.max(most, waitedS(request) ?? 0), sloS * 1.1);
  const y = (seconds: number): number => HEADROOM + HEIGHT - (seconds / maxS) * HEIGHT;
  const byModel = Map.groupBy(requests, ({ arrival }) => arrival.model);
  const size = requests.length > MANY ? 1.5 : 3;
  const dots = order.map((model, index) => {
    const places = new Set<string>();
    for (const request of byModel.get(model) ?? []) {
      const seconds = waitedS(request);
      if (seconds !== null)
        places.add(`M${short(Math.round(xOf(plot, request.arrival.atMs)))} ${Math.round(y(seconds))}h0`);
    }
    const style = `stroke="${colourOf(index)}" stroke-width="${size}" stroke-linecap="round" stroke-opacity="0.6"`;
    return path([...places].join(""), style);
  });
  const slo =
    path(`M${plot.left} ${short(y(sloS))}h${plot.width}`, 'stroke="#c92a2a" stroke-dasharray="6 4"') +
    label(
      plot.left + plot.width,
      y(sloS) - 4,
      `SLO ${sloS} s`,
      'text-anchor="end" class="small" fill="#c92a2a" stroke="#fff" stroke-width="4" paint-order="stroke"',
    );
  return {
    title: "Time to the first token of each request",
    svg: scale(plot, ticks(maxS, 5), y, " s") + dots.join("") + slo + missed(plot, requests),
    height: HEADROOM + HEIGHT,
  };
}

/** Crosses at the top for those that never had a first token. */
function missed(plot: Plot, requests: readonly RequestOutcome[]): string {
  const places = new Set<number>();
  for (const request of requests) {
    if (request.firstTokenAtMs === null) places.add(Math.round(xOf(plot, request.arrival.atMs)));
  }
  if (places.size === 0) return "";
  const crosses = Array.from(places, (x) => `M${x - 3} 3l6 6m0 -6l-6 6`).join("");
  const text = label(plot.left - 6, 10, "never", 'text-anchor="end" class="small" fill="#c92a2a"');
  return path(crosses, 'stroke="#c92a2a" fill="none"') + text;
}

function waitedS({ arrival, firstTokenAtMs }: RequestOutcome): number | null {
  return firstTokenAtMs === null ? null : (firstTokenAtMs - arrival.atMs) / 1000;
}
