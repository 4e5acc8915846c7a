/** Text that fits a terminal. */

/** How many blanks the first line begins with, and how many each further one. */
export interface Indent {
  readonly first: number;
  readonly rest: number;
}

/**
 * One paragraph as lines of at most `width` characters; null: one line. It is broken at blanks; a word that is longer than a line
 * is cut.
 */
export function wrapped(text: string, width: number | null, indent: Indent = { first: 0, rest: 2 }): string {
  let rest = Array.from(text.replaceAll(/[\s\p{Cc}\p{Cf}]+/gu, " ").trim());
  let margin = " ".repeat(indent.first);
  const lines: string[] = [];
  for (;;) {
    const room = width === null ? Infinity : Math.max(width - margin.length, 1);
    if (rest.length <= room) return [...lines, margin + rest.join("")].join("\n");
    // A blank right behind the line is as good as one in it.
    const blank = rest.lastIndexOf(" ", room);
    lines.push(margin + rest.slice(0, blank > 0 ? blank : room).join(""));
    rest = rest.slice(blank > 0 ? blank + 1 : room);
    margin = " ".repeat(indent.rest);
  }
}
