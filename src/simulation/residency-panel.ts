/** The panel of who was awake: moment by moment where a run is short, and by how much of the time where it is long. */
import type { EngineStateKind } from "../core/engine-state.ts";
import type { StateSpan } from "./history.ts";
import { addSpan, stackedSteps, type Layer } from "./stacked-steps.ts";
import { box, colourOf, label, modelLabel, path, scale, ticks, xOf, type Panel, type Plot } from "./svg.ts";

const ROW_HEIGHT = 26;

const GAP = 6;

const SHARES_HEIGHT = 150;

/** Of the long form; each should hold several switches. */
const COLUMNS = 120;

/** A run whose time takes less room than this on the page, in ms a unit, is shown moment by moment: its switches can be seen. */
const MOMENTS_MS_MAX = 1_500;

const CHANGING_FILL = 'fill="#212529"';

const AWAY_FILL = 'fill="#eef1f4"';

type Doing = "awake" | "draining" | "changing" | "away" | "away, interrupted";

const DOING: Readonly<Record<EngineStateKind, Exclude<Doing, "away, interrupted">>> = {
  awake: "awake",
  draining: "draining",
  "falling asleep": "changing",
  waking: "changing",
  starting: "changing",
  stopping: "changing",
  asleep: "away",
  stopped: "away",
  failed: "away",
};

/** `devices` of each model, in the order in which they are drawn. */
export function residencyPanel(
  plot: Plot,
  devices: ReadonlyMap<string, readonly string[]>,
  states: readonly StateSpan[],
): Panel {
  const byModel = Map.groupBy(states, ({ model }) => model);
  return plot.durationMs / plot.width <= MOMENTS_MS_MAX
    ? momentRows(plot, [...devices.keys()], byModel)
    : timeShares(plot, devices, byModel);
}

/** What the panel's colours mean; `y` is the line of the text. */
export function residencyLegend(x: number, y: number): string {
  const grey = "#868e96";
  const entries: readonly (readonly [string, string])[] = [
    [fillOf("awake", grey), "awake"],
    [fillOf("draining", grey), "draining"],
    [CHANGING_FILL, "falling asleep, waking, starting or stopping"],
    [fillOf("away, interrupted", grey), "asleep, requests stand still"],
    [AWAY_FILL, "asleep or stopped"],
  ];
  let left = x;
  let svg = "";
  for (const [style, text] of entries) {
    svg += path(box(left, y - 10, 14, 11), style) + label(left + 19, y, text, 'class="small"');
    left += 40 + text.length * 6;
  }
  return svg;
}

function fillOf(doing: Doing, colour: string): string {
  const fills: Readonly<Record<Doing, string>> = {
    awake: `fill="${colour}"`,
    draining: `fill="${colour}" fill-opacity="0.45"`,
    changing: CHANGING_FILL,
    away: AWAY_FILL,
    "away, interrupted": `fill="${colour}" fill-opacity="0.2"`,
  };
  return fills[doing];
}

/** A row for each model, in which every span of time has its box. */
function momentRows(plot: Plot, order: readonly string[], byModel: ReadonlyMap<string, readonly StateSpan[]>): Panel {
  const rows = order.map((model, index) => {
    const y = index * (ROW_HEIGHT + GAP);
    const boxes: Record<Doing, string> = { awake: "", draining: "", changing: "", away: "", "away, interrupted": "" };
    for (const { state, fromMs, toMs, suspended } of byModel.get(model) ?? []) {
      const x = xOf(plot, fromMs);
      const doing = DOING[state] === "away" && suspended > 0 ? "away, interrupted" : DOING[state];
      if (toMs > fromMs) boxes[doing] += box(x, y, xOf(plot, toMs) - x, ROW_HEIGHT);
    }
    const name = modelLabel(plot.left - 10, y + 17, model, index);
    const fills = (["away", "away, interrupted", "awake", "draining", "changing"] as const).map((doing) => {
      return path(boxes[doing], fillOf(doing, colourOf(index)));
    });
    return name + fills.join("");
  });
  return { title: "Who was awake", svg: rows.join(""), height: order.length * (ROW_HEIGHT + GAP) - GAP };
}

/** What the devices did in each of many columns of time: an area for each model that was awake, and one for all changes. */
function timeShares(
  plot: Plot,
  devices: ReadonlyMap<string, readonly string[]>,
  byModel: ReadonlyMap<string, readonly StateSpan[]>,
): Panel {
  const layers: Layer[] = [];
  const changing = new Float64Array(COLUMNS);
  let names = "";
  for (const [index, [model, own]] of [...devices].entries()) {
    const heights = { awake: new Float64Array(COLUMNS), draining: new Float64Array(COLUMNS), changing, away: null };
    for (const { state, fromMs, toMs } of byModel.get(model) ?? []) {
      const columns = heights[DOING[state]];
      if (columns !== null) addSpan(columns, fromMs / plot.durationMs, toMs / plot.durationMs, own.length);
    }
    for (const doing of ["awake", "draining"] as const) {
      layers.push({ heights: heights[doing], style: fillOf(doing, colourOf(index)) });
    }
    // The lowest area's name is the lowest.
    const y = SHARES_HEIGHT - 4 - index * Math.min(18, SHARES_HEIGHT / devices.size);
    names += modelLabel(plot.left - 50, y, model, index);
  }
  layers.push({ heights: changing, style: CHANGING_FILL });
  const count = new Set([...devices.values()].flat()).size;
  const y = (amount: number): number => SHARES_HEIGHT - (amount / count) * SHARES_HEIGHT;
  const frame = path(box(plot.left, 0, plot.width, SHARES_HEIGHT), AWAY_FILL);
  const values = ticks(count * 100, 4);
  const percentScale = scale(plot, values, (percent) => y(percent / 100), " %");
  const svg = frame + percentScale + stackedSteps(plot, layers, y) + names;
  return { title: count === 1 ? "The GPU's time" : `The time of ${count} GPUs`, svg, height: SHARES_HEIGHT };
}
