/** A text that comes again and again, but for a few places in it: whoever has read it once need not read it again. */

/** A place at which there may be something else each time. */
export interface Hole {
  readonly from: number;
  readonly to: number;
  /** `digits`: one to 15 of them. `same length`: as many characters as there were, of printable ASCII, the first and the last one no blank. */
  readonly kind: "digits" | "same length";
}

/** Longer texts are not worth being kept: there may be thousands of connections, each with its own. */
export const KNOWN_LENGTH_MAX = 4_096;

const DIGITS_MAX = 15;

const BLANK = 32;
const TILDE = 126;
const ZERO = 48;
const NINE = 57;

/** The hole in which that stands which the first group of `line` matches, where it matches first; null where it does not. */
export function holeIn(text: string, line: RegExp, kind: Hole["kind"]): Hole | null {
  const found = line.exec(text);
  if (found === null) return null;
  const [whole, value = ""] = found;
  const from = found.index + whole.lastIndexOf(value);
  return { from, to: from + value.length, kind };
}

/** Remembers one text. */
export class KnownText {
  /** In Latin-1. */
  readonly #text: string;
  readonly #holes: readonly Hole[];
  /** Where the holes are in what was recognised last. */
  readonly #at: { from: number; to: number }[];
  #bytes = 0;

  /** `holes`, in their order, do not touch each other, and none is at an end of the text. */
  constructor(text: string, holes: readonly Hole[]) {
    this.#text = text;
    this.#holes = holes;
    this.#at = holes.map(({ from, to }) => ({ from, to }));
  }

  /** How long that is which was recognised last. */
  get bytes(): number {
    return this.#bytes;
  }

  /** The number that stands in a hole of digits, in what was recognised last, which begins at `from` in `bytes`. */
  numberOf(hole: number, bytes: Buffer, from: number): number {
    const at = this.#at[hole];
    let number = 0;
    for (let index = at?.from ?? 0; index < (at?.to ?? 0); index += 1) {
      number = number * 10 + (bytes[from + index] ?? ZERO) - ZERO;
    }
    return number;
  }

  /** What stands in a hole of what was recognised last, which begins at `from` in `bytes`. */
  valueOf(hole: number, bytes: Buffer, from: number): string {
    const at = this.#at[hole];
    return at === undefined ? "" : bytes.toString("latin1", from + at.from, from + at.to);
  }

  /**
   * Whether the text is what the bytes from `from` on begin with, before `to`. Takes the same time wherever they differ: the text may have a
   * secret of somebody else in it.
   */
  recognises(bytes: Buffer, from: number, to: number): boolean {
    const text = this.#text;
    let difference = 0;
    /** How much further on it is there than here. */
    let shift = from;
    let at = 0;
    for (let index = 0; index <= this.#holes.length; index += 1) {
      const hole = this.#holes[index];
      const end = hole === undefined ? text.length : hole.from;
      if (end + shift > to) return false;
      for (; at < end; at += 1) difference |= text.charCodeAt(at) ^ (bytes[at + shift] ?? 0);
      if (hole === undefined) break;
      const filledTo =
        hole.kind === "digits" ? digitsEnd(bytes, at + shift, to) : printableEnd(bytes, at + shift, to, hole);
      if (filledTo === -1) return false;
      const filled = this.#at[index];
      if (filled !== undefined) {
        filled.from = at + shift - from;
        filled.to = filledTo - from;
      }
      at = hole.to;
      shift = filledTo - at;
    }
    this.#bytes = at + shift - from;
    return difference === 0;
  }
}

/** -1 where there are none. */
function digitsEnd(bytes: Buffer, from: number, to: number): number {
  const end = Math.min(to, from + DIGITS_MAX);
  let at = from;
  while (at < end && (bytes[at] ?? 0) >= ZERO && (bytes[at] ?? 0) <= NINE) at += 1;
  return at === from ? -1 : at;
}

/** -1 where they are others, or too few. */
function printableEnd(bytes: Buffer, from: number, to: number, hole: Hole): number {
  const end = from + hole.to - hole.from;
  if (end > to || bytes[from] === BLANK || bytes[end - 1] === BLANK) return -1;
  for (let at = from; at < end; at += 1) {
    const byte = bytes[at] ?? 0;
    if (byte < BLANK || byte > TILDE) return -1;
  }
  return end;
}
