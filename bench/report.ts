/** What a benchmark found: tables of figures, and how they stand against the targets. */

/** A cell: a text, or a number that is shown with as many digits as it needs. */
export type Cell = string | number;

/** Figures side by side. */
export interface Table {
  readonly title: string;
  readonly columns: readonly string[];
  readonly rows: readonly (readonly Cell[])[];
}

/** One figure against its target. */
export interface Check {
  readonly what: string;
  readonly measured: number;
  readonly bound: "at most" | "at least";
  readonly target: number;
  readonly unit: string;
}

/** The whole answer of one benchmark. */
export interface Report {
  readonly tables: readonly Table[];
  readonly checks: readonly Check[];
  /** What a reader must know to read the figures. */
  readonly notes: readonly string[];
}

/** Whether the target is reached. */
export function holds({ measured, bound, target }: Check): boolean {
  return bound === "at most" ? measured <= target : measured >= target;
}

/** The report as text for a terminal. */
export function formatReport(report: Report): string {
  const parts = report.tables.map(formatTable);
  if (report.checks.length > 0) {
    const rows = report.checks.map((check) => [
      check.what,
      `${formatCell(check.measured)} ${check.unit}`,
      `${check.bound} ${formatCell(check.target)} ${check.unit}`,
      holds(check) ? "holds" : "MISSED",
    ]);
    parts.push(formatTable({ title: "against the targets", columns: ["what", "measured", "target", ""], rows }));
  }
  if (report.notes.length > 0) parts.push(`${report.notes.join("\n")}\n`);
  return parts.join("\n");
}

/** The table as lines, numbers to the right. */
export function formatTable({ title, columns, rows }: Table): string {
  const lines = [columns, ...rows.map((row) => row.map(formatCell))];
  const widths = columns.map((_, at) => Math.max(...lines.map((line) => line[at]?.length ?? 0)));
  const isNumeric = columns.map((_, at) => rows.every((row) => typeof row[at] === "number"));
  const shown = lines.map((line) =>
    line
      .map((text, at) => (isNumeric[at] === true ? text.padStart(widths[at] ?? 0) : text.padEnd(widths[at] ?? 0)))
      .join("  ")
      .trimEnd(),
  );
  const [head = "", ...body] = shown;
  const rule = widths.map((width) => "-".repeat(width)).join("  ");
  return `${title}\n  ${[head, rule, ...body].join("\n  ")}\n`;
}

function formatCell(cell: Cell): string {
  if (typeof cell === "string") return cell;
  const size = Math.abs(cell);
  const digits = Number.isInteger(cell) || size >= 1_000 ? 0 : size >= 100 ? 1 : size >= 2 ? 2 : 3;
  return cell.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
}
