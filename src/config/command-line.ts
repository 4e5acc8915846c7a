/** A command line that is written as one text, split into words. */

/**
 * Splits at blanks and line ends, as a shell does: quotes keep words together, a backslash takes what follows as it is, and lines that
 * begin with # are left out. Nothing is expanded. Undefined if a quote is not closed.
 */
export function splitCommandLine(text: string): readonly string[] | undefined {
  const words: string[] = [];
  let word: string | null = null;
  let quote = "";
  const source = text.replaceAll(/^[ \t]*#.*$/gm, "");
  for (let index = 0; index < source.length; index += 1) {
    const character = source.charAt(index);
    if (character === "\\" && quote !== "'") {
      index += 1;
      const next = source.charAt(index);
      // At the end of a line it joins it with the next.
      if (next === "\n") continue;
      word = (word ?? "") + (quote === '"' && !'"\\$`'.includes(next) ? `\\${next}` : next);
    } else if (quote !== "") {
      if (character === quote) quote = "";
      else word = (word ?? "") + character;
    } else if (character === "'" || character === '"') {
      quote = character;
      word ??= "";
    } else if (/\s/.test(character)) {
      if (word !== null) words.push(word);
      word = null;
    } else {
      word = (word ?? "") + character;
    }
  }
  if (word !== null) words.push(word);
  return quote === "" ? words : undefined;
}
