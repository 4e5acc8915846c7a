/** "Did you mean …?": finds the word that someone probably wanted to write. */

/** Words longer than this are not compared: nobody mistypes one, and the comparison costs the square of the length. */
const wordLengthMax = 64;

/**
 * Returns the candidate that is fewest slips of the finger away from `word` (a letter left out, put in, swapped or wrong); failing
 * that, the one that has all its parts and more. Undefined if even the nearest one is more than a third of the word away.
 */
export function suggest(word: string, candidates: Iterable<string>): string | undefined {
  if (word.length > wordLengthMax) return undefined;
  const wanted = normalised(word);
  const words = [...candidates].filter((candidate) => candidate.length <= wordLengthMax);
  return nearest(wanted, words) ?? longerForm(wanted, words);
}

/** The candidate fewest slips away, if it is near enough. */
function nearest(wanted: string, candidates: readonly string[]): string | undefined {
  let best: string | undefined;
  let bestSlips = Math.max(1, Math.floor(wanted.length / 3)) + 1;
  for (const candidate of candidates) {
    const slips = slipsBetween(wanted, normalised(candidate));
    if (slips >= bestSlips) continue;
    best = candidate;
    bestSlips = slips;
  }
  return best;
}

/** The shortest candidate that has all parts of the word and more: `min_active` for `min_active_secs`. */
function longerForm(wanted: string, candidates: readonly string[]): string | undefined {
  const parts = wanted.split("_");
  return candidates
    .filter((candidate) => isPartOf(parts, normalised(candidate).split("_")))
    .toSorted((a, b) => a.length - b.length)[0];
}

function isPartOf(parts: readonly string[], whole: readonly string[]): boolean {
  return parts.every((part) => whole.includes(part));
}

/** `minActiveSecs`, `min-active-secs` and `min_active_secs` are the same word in three accents. */
function normalised(word: string): string {
  return word
    .replaceAll(/([a-z0-9])([A-Z])/g, "$1_$2")
    .replaceAll("-", "_")
    .toLowerCase();
}

/** Damerau–Levenshtein distance (adjacent letters may change places), row by row. */
function slipsBetween(left: string, right: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: right.length + 1 }, (_, column) => column);
  for (let row = 1; row <= left.length; row += 1) {
    const current = [row];
    for (let column = 1; column <= right.length; column += 1) {
      const same = left[row - 1] === right[column - 1];
      let slips = Math.min(at(last, column) + 1, at(current, column - 1) + 1, at(last, column - 1) + (same ? 0 : 1));
      const swapped =
        row > 1 && column > 1 && left[row - 1] === right[column - 2] && left[row - 2] === right[column - 1];
      if (swapped) slips = Math.min(slips, at(beforeLast, column - 2) + 1);
      current.push(slips);
    }
    beforeLast = last;
    last = current;
  }
  return at(last, right.length);
}

function at(row: readonly number[], column: number): number {
  return row[column] ?? Number.POSITIVE_INFINITY;
}
