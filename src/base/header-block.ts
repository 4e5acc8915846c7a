/** Headers that are sent again and again: the lines that they make are made once. */

/** Makes lines of names and values, flat; null where one cannot be sent. */
export type LineWriter = (flat: readonly string[]) => string | null;

/** Never changes. As an iterable of pairs, it is what HTTP clients take too. */
export class HeaderBlock implements Iterable<[name: string, value: string]> {
  /** Those that this one has more than; null where it was not made from others. */
  readonly before: HeaderBlock | null;
  readonly #flat: readonly string[];
  #lines: string | null | undefined;
  /** For whoever gets this block again and again: what he has made of it. */
  reading: unknown = null;

  /** `flat`: names and values. */
  constructor(flat: readonly string[], before: HeaderBlock | null = null) {
    this.#flat = flat;
    this.before = before;
  }

  /** These, and one more. */
  with(name: string, value: string): HeaderBlock {
    return new HeaderBlock([name, value], this);
  }

  /** What `write` makes of them; always to be asked with the same. */
  linesBy(write: LineWriter): string | null {
    if (this.#lines === undefined) {
      const before = this.before === null ? "" : this.before.linesBy(write);
      const own = before === null ? null : this.moreLinesBy(write);
      this.#lines = before === null || own === null ? null : before + own;
    }
    return this.#lines;
  }

  /** The same of those that it has more than `before`; not kept. */
  moreLinesBy(write: LineWriter): string | null {
    return write(this.#flat);
  }

  /** Names and values. */
  get flat(): readonly string[] {
    return this.before === null ? this.#flat : [...this.before.flat, ...this.#flat];
  }

  *[Symbol.iterator](): Iterator<[name: string, value: string]> {
    const { flat } = this;
    for (let index = 0; index + 1 < flat.length; index += 2) yield [flat[index] ?? "", flat[index + 1] ?? ""];
  }
}
