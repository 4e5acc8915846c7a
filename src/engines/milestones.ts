/** Progress of a start, read from an engine's output by its milestones. */
import type { StartProgress } from "../ports/engine-directory.ts";

/** A kind of line; a capture group, where there is one, is the percentage. */
export interface Milestone {
  readonly pattern: RegExp;
  readonly stage: string;
}

/** A reader of lines: what the first milestone that fits a line says of the progress; null for any other line. */
export function milestones(all: readonly Milestone[]): (line: string) => StartProgress | null {
  return (line) => {
    for (const { pattern, stage } of all) {
      const match = pattern.exec(line);
      if (match !== null) return { stage, percent: match[1] === undefined ? null : Math.min(Number(match[1]), 100) };
    }
    return null;
  };
}
