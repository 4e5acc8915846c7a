/** Clients send one head with all requests of a connection, but for the length of the body: such a head is read once. */
import { holeIn, KNOWN_LENGTH_MAX, KnownText } from "../../base/known-text.ts";
import type { ReadHead, RequestHead } from "./request-head.ts";

/** The only length that a valid head has, and the blanks before it. */
const LENGTH_LINE = /\r\ncontent-length:[\t ]*(\d+)/i;

/** The head that came last on a connection, and what it says. */
export class KnownHead {
  readonly head: RequestHead;
  readonly #text: KnownText;
  readonly #hasLength: boolean;
  #bodyBytes: number | null;

  private constructor(text: KnownText, hasLength: boolean, { head, bodyBytes }: ReadHead) {
    this.head = head;
    this.#text = text;
    this.#hasLength = hasLength;
    this.#bodyBytes = bodyBytes;
  }

  /** Whether it is worth being kept; see `of`. */
  static isWorthKeeping(text: string, { head }: ReadHead): boolean {
    return text.length <= KNOWN_LENGTH_MAX && head.upgrade === null;
  }

  /** `text`: what was read, and the empty line. */
  static of(text: string, read: ReadHead): KnownHead {
    const length = holeIn(text, LENGTH_LINE, "digits");
    return new KnownHead(new KnownText(text, length === null ? [] : [length]), length !== null, read);
  }

  /** What the one that was recognised last says of its body; see `ReadHead`. */
  get bodyBytes(): number | null {
    return this.#bodyBytes;
  }

  /** How long that one is, with the empty line. */
  get bytes(): number {
    return this.#text.bytes;
  }

  /**
   * Whether the bytes begin with this head, perhaps with another length in it, and not longer than `bytesMax`. It takes the same time
   * wherever they differ: where a proxy is in front, the last head may have been somebody else's, with a key in it.
   */
  recognises(bytes: Buffer, bytesMax: number): boolean {
    if (!this.#text.recognises(bytes, 0, bytes.length) || this.#text.bytes > bytesMax) return false;
    if (this.#hasLength) this.#bodyBytes = this.#text.numberOf(0, bytes, 0);
    return true;
  }
}
