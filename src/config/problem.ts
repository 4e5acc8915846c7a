/** What is wrong with a configuration, and where. */

/** One fault of a configuration file: its place (line and column count from 1), the key it is about, and a sentence. */
export interface Problem {
  readonly file: string;
  readonly line: number;
  readonly column: number;
  /** The key, as `models.qwen-14b.port`; empty for the file as a whole. */
  readonly path: string;
  readonly message: string;
}

/** Thrown when a configuration cannot be used; its message is all problems, one per line, each as `file:line:column: message`. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
  readonly problems: readonly Problem[];

  constructor(problems: readonly Problem[]) {
    const sorted = inFileOrder(problems);
    super(sorted.map(formatProblem).join("\n"));
    this.problems = sorted;
  }
}

/** Writes a problem as one line, `file:line:column: message`, the form that editors and terminals make clickable. */
export function formatProblem(problem: Problem): string {
  return `${problem.file}:${problem.line}:${problem.column}: ${problem.message}`;
}

/** Problems sorted by their place in the file. */
export function inFileOrder(problems: readonly Problem[]): readonly Problem[] {
  return problems.toSorted((a, b) => a.line - b.line || a.column - b.column);
}
