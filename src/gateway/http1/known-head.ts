/** Clients send one head with all requests of a connection, but for the length of the body: such a head is read once. */
import type { ReadHead, RequestHead } from "./request-head.ts";

/** Longer ones are not kept: thousands of connections may lie idle. */
const KEPT_LENGTH_MAX = 4_096;

/** As many as the reader of heads takes. */
const LENGTH_DIGITS_MAX = 15;

/** The only length that a valid head has, and the blanks before it. */
const LENGTH_LINE = /\r\ncontent-length:[\t ]*(\d+)/i;

const ZERO = 48;
const NINE = 57;

/** The head that came last on a connection, and what it says. */
export class KnownHead {
  readonly head: RequestHead;
  /** In Latin-1, with the empty line. */
  readonly #text: string;
  /** The digits of the length are between these two, which are both the end where there are none. */
  readonly #digitsFrom: number;
  readonly #digitsTo: number;
  #bodyBytes: number | null;
  #bytes = 0;

  private constructor(text: string, { head, bodyBytes }: ReadHead, digits: RegExpExecArray | null) {
    this.head = head;
    this.#text = text;
    this.#digitsTo = digits === null ? text.length : digits.index + digits[0].length;
    this.#digitsFrom = this.#digitsTo - (digits?.[1]?.length ?? 0);
    this.#bodyBytes = bodyBytes;
  }

  /** `text`: what was read, and the empty line. Null where it is not worth being kept. */
  static of(text: string, read: ReadHead): KnownHead | null {
    if (text.length > KEPT_LENGTH_MAX || read.head.upgrade !== null) return null;
    return new KnownHead(text, read, LENGTH_LINE.exec(text));
  }

  /** What the one that was recognised last says of its body; see `ReadHead`. */
  get bodyBytes(): number | null {
    return this.#bodyBytes;
  }

  /** How long that one is, with the empty line. */
  get bytes(): number {
    return this.#bytes;
  }

  /**
   * Whether the bytes begin with this head, perhaps with another length in it, and not longer than `bytesMax`. It takes the same time wherever they differ: where a proxy
   * is in front, the last head may have been somebody else's, with a key in it.
   */
  recognises(bytes: Buffer, bytesMax: number): boolean {
    const text = this.#text;
    const from = this.#digitsFrom;
    if (bytes.length < from) return false;
    let difference = 0;
    for (let at = 0; at < from; at += 1) difference |= text.charCodeAt(at) ^ (bytes[at] ?? 0);
    let at = from;
    let length = 0;
    for (const end = at + LENGTH_DIGITS_MAX; at < end && from < text.length; at += 1) {
      const byte = bytes[at] ?? 0;
      if (byte < ZERO || byte > NINE) break;
      length = length * 10 + byte - ZERO;
    }
    const shift = at - this.#digitsTo;
    const total = text.length + shift;
    if ((at === from && from < text.length) || total > bytes.length || total > bytesMax) return false;
    for (at = this.#digitsTo; at < text.length; at += 1) difference |= text.charCodeAt(at) ^ (bytes[at + shift] ?? 0);
    if (difference !== 0) return false;
    if (from < text.length) this.#bodyBytes = length;
    this.#bytes = total;
    return true;
  }
}
