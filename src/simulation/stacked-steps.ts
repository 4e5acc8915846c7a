/** Areas of steps, one upon the other: how many of something, or how much of the time, in each of many equal columns of time. */
import { path, short, type Plot } from "./svg.ts";

/** One area. */
export interface Layer {
  /** A height for each column. */
  readonly heights: Float64Array;
  /** SVG attributes such as `fill`. */
  readonly style: string;
}

/** The areas from the bottom up; `y` says where a height lies. */
export function stackedSteps(plot: Plot, layers: readonly Layer[], y: (height: number) => number): string {
  const floors = new Float64Array(layers[0]?.heights.length ?? 0);
  return layers.map(({ heights, style }) => path(area(plot, floors, heights, y), style)).join("");
}

/** For each column, the sum of all layers. */
export function totalsOf(layers: readonly Layer[]): Float64Array {
  const totals = new Float64Array(layers[0]?.heights.length ?? 0);
  for (const { heights } of layers) for (const [column, height] of heights.entries()) raise(totals, column, height);
  return totals;
}

/** Adds to each column `weight` times the part of it that lies between `from` and `to`, both as shares of the whole. */
export function addSpan(columns: Float64Array, from: number, to: number, weight = 1): void {
  const first = Math.max(0, from * columns.length);
  const end = Math.min(columns.length, to * columns.length);
  for (let column = Math.floor(first); column < end; column += 1) {
    raise(columns, column, (Math.min(end, column + 1) - Math.max(first, column)) * weight);
  }
}

/** The area of steps between `floors` and what lies upon them; `floors` grows by it. */
function area(plot: Plot, floors: Float64Array, heights: Float64Array, y: (height: number) => number): string {
  if (heights.every((height) => height === 0)) return "";
  const width = plot.width / heights.length;
  let there = `M${plot.left} ${short(y(floors[0] ?? 0))}`;
  let back = "";
  for (const [column, height] of heights.entries()) {
    const floor = floors[column] ?? 0;
    there += `V${short(y(floor + height))}H${short(plot.left + (column + 1) * width)}`;
    back = `V${short(y(floor))}H${short(plot.left + column * width)}${back}`;
    raise(floors, column, height);
  }
  return `${there}${back}z`;
}

function raise(columns: Float64Array, column: number, by: number): void {
  columns[column] = (columns[column] ?? 0) + by;
}
