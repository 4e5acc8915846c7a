/** What the panels of a drawing share: where time lies on the page, how paths and texts are written, which colours there are. */

/** Colours that people who see few colours can tell apart, and that are also apart in grey. */
const PALETTE = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#6a51a3", "#8c8c46"];

/** The area between the labels on the left and the right edge, in the drawing's units. */
export interface Plot {
  readonly left: number;
  readonly width: number;
  /** What the width stands for. */
  readonly durationMs: number;
}

/** A part of a drawing: its elements, as if its top were at 0, and its height. */
export interface Panel {
  readonly title: string;
  readonly svg: string;
  readonly height: number;
}

/** The colour of the model at this place in the order; after eight of them they come again. */
export function colourOf(index: number): string {
  return PALETTE[index % PALETTE.length] ?? "#000";
}

/** Where a moment lies. */
export function xOf(plot: Plot, atMs: number): number {
  return plot.left + (plot.durationMs === 0 ? 0 : (atMs / plot.durationMs) * plot.width);
}

/** A text element; the text may hold anything. */
export function label(x: number, y: number, text: string, attributes = ""): string {
  const escaped = text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
  // Characters that XML does not have, whatever is done about them.
  const clean = escaped.replaceAll(/[\p{Cc}\p{Cs}\uFFFE\uFFFF]/gu, "\uFFFD");
  return `<text x="${short(x)}" y="${short(y)}" ${attributes}>${clean}</text>\n`;
}

/** A model's name in its colour, with its right end at `x`; what is too long for the margin is cut. */
export function modelLabel(x: number, y: number, model: string, index: number): string {
  const characters = Array.from(model);
  const name = characters.length > NAME_LENGTH_MAX ? `${characters.slice(0, NAME_LENGTH_MAX - 1).join("")}…` : model;
  return label(x, y, name, `text-anchor="end" fill="${colourOf(index)}" class="name"`);
}

const NAME_LENGTH_MAX = 16;

/** A filled rectangle as part of a path. */
export function box(x: number, y: number, width: number, height: number): string {
  return `M${short(x)} ${short(y)}h${short(width)}v${short(height)}h${short(-width)}z`;
}

/** A path, or nothing where it would be empty. */
export function path(d: string, attributes: string): string {
  return d === "" ? "" : `<path d="${d}" ${attributes}/>\n`;
}

/** To two digits, without needless noughts. */
export function short(value: number): string {
  return String(Math.round(value * 100) / 100);
}

/** Round numbers from 0 to `max`, about `count` of them. */
export function ticks(max: number, count: number): number[] {
  if (max <= 0) return [0];
  return roundSteps(0, max, count);
}

/** Round numbers from `from` to `to`, about `count` of them. */
export function roundSteps(from: number, to: number, count: number): number[] {
  const rough = Math.max((to - from) / count, Number.MIN_VALUE);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 5, 10].find((factor) => factor * power >= rough) ?? 10);
  const first = Math.ceil(from / step);
  return Array.from({ length: Math.max(0, Math.floor(to / step) - first + 1) }, (_, index) => (first + index) * step);
}

/** A scale on the left with a line across the plot at each of its values; `y` says where a value lies. */
export function scale(plot: Plot, values: readonly number[], y: (value: number) => number, unit: string): string {
  return values
    .map((value) => {
      const line = `<path d="M${plot.left} ${short(y(value))}h${plot.width}" stroke="#dee2e6"/>\n`;
      return line + label(plot.left - 6, y(value) + 4, `${value}${unit}`, 'text-anchor="end" class="small"');
    })
    .join("");
}
