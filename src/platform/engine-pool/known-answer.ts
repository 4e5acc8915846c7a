/** Engines answer with one head again and again, but for its date and the length of the body: such a head is read once. */
import { holeIn, KNOWN_LENGTH_MAX, KnownText, type Hole } from "../../base/known-text.ts";
import type { AnswerHead } from "./answer-head.ts";

const HEAD_END = "\r\n\r\n";

const DATE_LINE = /\r\ndate:[\t ]*([!-~](?:[ -~]*[!-~])?)[\t ]*\r\n/i;
/** What is told in more than one line is read as a whole. */
const GIVEN_TWICE = /\r\n(date|content-length):(?=[^]*\r\n\1:)/i;
const LENGTH_LINE = /\r\ncontent-length:[\t ]*(\d{1,15})[\t ]*\r\n/i;

/** The head that came last on a connection, and what it says. */
export class KnownAnswer {
  readonly #head: AnswerHead;
  readonly #text: KnownText;
  /** Which holes these are; -1: none. */
  readonly #dateHole: number;
  readonly #lengthHole: number;

  private constructor(text: string, head: AnswerHead, date: Hole | null, length: Hole | null) {
    const holes = [date, length].filter((hole) => hole !== null).sort((one, other) => one.from - other.from);
    this.#head = head;
    this.#text = new KnownText(text, holes);
    this.#dateHole = date === null ? -1 : holes.indexOf(date);
    this.#lengthHole = length === null ? -1 : holes.indexOf(length);
  }

  /** `text`: what was read as the answer to anything but a HEAD, without the blank line. Null where it is not worth being kept. */
  static of(text: string, head: AnswerHead): KnownAnswer | null {
    const { status, date, framing } = head;
    // Of some, the length is not that of a body.
    if (text.length > KNOWN_LENGTH_MAX || status < 200 || status === 204 || status === 304) return null;
    if (GIVEN_TWICE.test(text)) return null;
    const whole = text + HEAD_END;
    const dateAt = date === null ? null : holeIn(whole, DATE_LINE, "same length");
    const lengthAt = holeIn(whole, LENGTH_LINE, "digits");
    // Beside chunks there may be one that does not count, and one may be a list.
    if ((lengthAt === null) === (typeof framing === "number")) return null;
    return new KnownAnswer(whole, head, dateAt, lengthAt);
  }

  /** How long the head is that was recognised last, with the blank line. */
  get bytes(): number {
    return this.#text.bytes;
  }

  /** The head that the bytes between `from` and `to` begin with, if it is this one, perhaps with another date and length; else null. */
  recognise(bytes: Buffer, from: number, to: number): AnswerHead | null {
    if (!this.#text.recognises(bytes, from, to)) return null;
    const { status, statusText, headers, date, contentLength, framing, keptMs } = this.#head;
    const length = this.#lengthHole === -1 ? contentLength : this.#text.valueOf(this.#lengthHole, bytes, from);
    return {
      status,
      statusText,
      headers,
      date: this.#dateHole === -1 ? date : this.#text.valueOf(this.#dateHole, bytes, from),
      contentLength: length,
      framing: this.#lengthHole === -1 ? framing : this.#text.numberOf(this.#lengthHole, bytes, from),
      keptMs,
    };
  }
}
