/** Tables of text that fit a terminal. */

/**
 * A column: its title, how narrow it may become when the terminal is (undefined: as wide as its widest cell, always), and whether
 * it may be left out there.
 */
export type Column = string | { readonly title: string; readonly shrinkTo?: number; readonly mayGo?: true };

const GAP = "  ";

/**
 * Lines with their ends: a head and a line a row, columns two blanks apart. Wider than `width`, the columns that may be left out
 * are, the last one first; then those that may shrink do so, the widest one first; what is still too wide is cut. Null: as wide
 * as it comes.
 */
export function renderTable(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  width: number | null,
): string {
  const titles = columns.map((column) => (typeof column === "string" ? column : column.title));
  const cells = [titles, ...rows].map((row) => row.map(oneLine));
  const widths = titles.map((_, index) => Math.max(...cells.map((row) => lengthOf(row[index] ?? ""))));
  if (width !== null) {
    const last = columns.findLastIndex((column) => typeof column !== "string" && column.mayGo === true);
    if (last !== -1 && totalOf(widths) > width) {
      return renderTable(
        columns.toSpliced(last, 1),
        rows.map((row) => row.toSpliced(last, 1)),
        width,
      );
    }
    shrink(widths, columns, width);
  }
  const lines = cells.map((row) => {
    const padded = row.map((cell, index) => padTo(cut(cell, widths[index] ?? 0), widths[index] ?? 0));
    const line = padded.join(GAP).trimEnd();
    return width === null ? line : cut(line, width);
  });
  return lines.map((line) => `${line}\n`).join("");
}

/** Takes from whichever of the columns that may shrink is the widest, blank by blank. */
function shrink(widths: number[], columns: readonly Column[], width: number): void {
  const least = columns.map((column, index) => {
    return (typeof column === "string" ? undefined : column.shrinkTo) ?? widths[index] ?? 0;
  });
  for (let tooMuch = totalOf(widths) - width; tooMuch > 0; tooMuch -= 1) {
    let widest = -1;
    for (const [index, one] of widths.entries()) {
      if (one > (least[index] ?? 0) && one > (widths[widest] ?? 0)) widest = index;
    }
    if (widest === -1) return;
    widths[widest] = (widths[widest] ?? 0) - 1;
  }
}

function totalOf(widths: readonly number[]): number {
  return widths.reduce((sum, one) => sum + one, 0) + GAP.length * (widths.length - 1);
}

/** Cells hold what engines and files say: nothing in them may break the line or control the terminal. */
function oneLine(text: string): string {
  return text.replaceAll(/[\p{Cc}\p{Cf}\u2028\u2029]+/gu, " ");
}

function lengthOf(text: string): number {
  return Array.from(text).length;
}

function cut(text: string, length: number): string {
  const characters = Array.from(text);
  return characters.length <= length ? text : `${characters.slice(0, Math.max(0, length - 1)).join("")}…`;
}

function padTo(text: string, length: number): string {
  return text + " ".repeat(Math.max(0, length - lengthOf(text)));
}
