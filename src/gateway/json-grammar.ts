/** JSON's grammar over bytes that come in pieces: tells what stands at the top, and whether it is JSON at all. */

import { textEnd } from "./json-string.ts";

/** Who wants to know. `kind` is "an object", "an array", "a string", "a number", "true", "false" or "null". */
export interface JsonListener {
  /** What the whole document is; an object or an array has only begun. */
  onRoot(kind: string): void;
  /** A key of the outermost object, with its quotes; null if it is longer than any that counts. */
  onKey(literal: string | null): void;
  /** How many bytes of the string that comes next, the value of the last key, are wanted in `onValue`. */
  readonly wantsValue: number;
  /** The value of that key; an object or an array has only begun. The literal, which begins at `from`, is there for strings that were wanted. */
  onValue(kind: string, literal: string | null, from: number): void;
}

/** The longest way to write a key that counts has six bytes a letter, and the quotes. */
const KEY_BYTES_MAX = 38;

/** Deeper nesting is refused: it has no use, and the stack must have an end. */
const DEPTH_MAX = 10_000;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;

type State = "value" | "value or end" | "key" | "key or end" | "colon" | "after value" | "string" | "word" | "number";

/** Where inside of a number. */
type NumberState = "sign" | "zero" | "digits" | "point" | "fraction" | "e" | "e sign" | "exponent";

const WORDS: ReadonlyMap<number, string> = new Map([
  [0x74, "true"],
  [0x66, "false"],
  [0x6e, "null"],
]);

/** One document. Bytes of strings are only looked at as far as the grammar needs; whether they are UTF-8 is not its concern. */
export class JsonGrammar {
  readonly #listener: JsonListener;
  #state: State = "value";
  #number: NumberState = "sign";
  #word = "";
  #wordAt = 0;
  #isKey = false;
  /** After a backslash: 0 for the letter, 1 to 4 for the digits of `\u`; -1 outside. */
  #escape = -1;
  /** What is open, outermost first: true for objects. */
  readonly #open: boolean[] = [];
  #captured: number[] | null = null;
  #capturedMax = 0;
  #position = 0;
  #stringFrom = 0;
  #brokenAt: number | null = null;

  constructor(listener: JsonListener) {
    this.#listener = listener;
  }

  push(chunk: Buffer): void {
    if (this.#brokenAt !== null) return;
    let at = 0;
    while (at < chunk.length && this.#brokenAt === null) {
      at = this.#state === "string" && this.#escape === -1 ? this.#skipString(chunk, at) : this.#step(chunk, at);
    }
    this.#position += chunk.length;
  }

  /** The document is over. Null if it was one, else where it broke. */
  end(): string | null {
    if (this.#brokenAt !== null) return `it breaks at position ${this.#brokenAt}`;
    if (this.#state === "number" && this.#open.length === 0 && this.#numberMayEnd()) this.#afterValue();
    return this.#state === "after value" && this.#open.length === 0 ? null : "it ends too early";
  }

  /** Outside of an escape. */
  #skipString(chunk: Buffer, from: number): number {
    const at = textEnd(chunk, from);
    const isOver = at < chunk.length;
    const byte = chunk[at] ?? 0;
    if (this.#captured !== null) this.#capture(chunk.subarray(from, isOver ? at + 1 : at));
    if (!isOver) return at;
    if (byte === QUOTE) this.#endString();
    else if (byte === BACKSLASH) this.#escape = 0;
    else this.#break(at);
    return at + 1;
  }

  #step(chunk: Buffer, at: number): number {
    const byte = chunk[at] ?? 0;
    if (this.#state === "string") {
      if (this.#captured !== null) this.#capture(chunk.subarray(at, at + 1));
      this.#inEscape(byte, at);
      return at + 1;
    }
    if (this.#state === "number") {
      if (this.#inNumber(byte)) return at + 1;
      if (!this.#numberMayEnd()) this.#break(at);
      else this.#afterValue();
      return at;
    }
    if (this.#state === "word") this.#inWord(byte, at);
    else if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) this.#between(byte, at);
    return at + 1;
  }

  // ── between values ────────────────────────────────────────────────────────────────────────────────────────────────

  #between(byte: number, at: number): void {
    const state = this.#state;
    if (state === "value" || state === "value or end") {
      if (byte === 0x5d && state === "value or end") this.#close(false, at);
      else this.#begin(byte, at);
    } else if (state === "key" || state === "key or end") {
      if (byte === 0x7d && state === "key or end") this.#close(true, at);
      else if (byte === QUOTE) this.#beginString(true, at);
      else this.#break(at);
    } else if (state === "colon") {
      if (byte === 0x3a) this.#state = "value";
      else this.#break(at);
    } else if (byte === 0x2c && this.#open.length > 0) {
      this.#state = this.#open.at(-1) === true ? "key" : "value";
    } else if (byte === 0x7d) this.#close(true, at);
    else if (byte === 0x5d) this.#close(false, at);
    else this.#break(at);
  }

  #begin(byte: number, at: number): void {
    const word = WORDS.get(byte);
    if (byte === QUOTE) this.#beginString(false, at);
    else if (byte === 0x7b) this.#openOne(true, at);
    else if (byte === 0x5b) this.#openOne(false, at);
    else if (word !== undefined) {
      this.#state = "word";
      this.#word = word;
      this.#wordAt = 1;
    } else if (byte === 0x2d || isDigit(byte)) {
      this.#tell("a number", null);
      this.#state = "number";
      this.#number = byte === 0x2d ? "sign" : byte === 0x30 ? "zero" : "digits";
    } else this.#break(at);
  }

  #openOne(isObject: boolean, at: number): void {
    this.#tell(isObject ? "an object" : "an array", null);
    if (this.#open.length >= DEPTH_MAX) return this.#break(at);
    this.#open.push(isObject);
    this.#state = isObject ? "key or end" : "value or end";
  }

  #close(isObject: boolean, at: number): void {
    if (this.#open.pop() === isObject) this.#state = "after value";
    else this.#break(at);
  }

  #afterValue(): void {
    this.#state = "after value";
  }

  /** Said of the document, and of the values in its outermost object. */
  #tell(kind: string, literal: string | null): void {
    if (this.#open.length === 0) this.#listener.onRoot(kind);
    else if (this.#open.length === 1 && this.#open[0] === true) this.#listener.onValue(kind, literal, this.#stringFrom);
  }

  // ── inside of values ──────────────────────────────────────────────────────────────────────────────────────────────

  #beginString(isKey: boolean, at: number): void {
    this.#state = "string";
    this.#stringFrom = this.#position + at;
    this.#isKey = isKey;
    const isAtTop = this.#open.length === 1 && this.#open[0] === true;
    this.#capturedMax = !isAtTop ? 0 : isKey ? KEY_BYTES_MAX : this.#listener.wantsValue;
    this.#captured = this.#capturedMax > 0 ? [QUOTE] : null;
  }

  #capture(bytes: Buffer): void {
    if (this.#captured === null) return;
    if (this.#captured.length + bytes.length > this.#capturedMax) this.#captured = null;
    else for (const byte of bytes) this.#captured.push(byte);
  }

  #endString(): void {
    const literal = this.#captured === null ? null : Buffer.from(this.#captured).toString("utf8");
    this.#captured = null;
    if (!this.#isKey) {
      this.#tell("a string", literal);
      this.#state = "after value";
      return;
    }
    if (this.#open.length === 1) this.#listener.onKey(literal);
    this.#state = "colon";
  }

  #inEscape(byte: number, at: number): void {
    if (this.#escape === 0) {
      if (byte === 0x75) this.#escape = 1;
      else if (ESCAPED.has(byte)) this.#escape = -1;
      else this.#break(at);
    } else if (!isHexDigit(byte)) this.#break(at);
    else this.#escape = this.#escape === 4 ? -1 : this.#escape + 1;
  }

  #inWord(byte: number, at: number): void {
    if (byte !== this.#word.charCodeAt(this.#wordAt)) return this.#break(at);
    this.#wordAt += 1;
    if (this.#wordAt < this.#word.length) return;
    this.#tell(this.#word, null);
    this.#afterValue();
  }

  /** False when the byte does not belong to the number any more. */
  #inNumber(byte: number): boolean {
    const next = nextInNumber(this.#number, byte);
    if (next === null) return false;
    this.#number = next;
    return true;
  }

  #numberMayEnd(): boolean {
    const state = this.#number;
    return state === "zero" || state === "digits" || state === "fraction" || state === "exponent";
  }

  #break(at: number): void {
    this.#brokenAt = this.#position + at;
  }
}

function nextInNumber(state: NumberState, byte: number): NumberState | null {
  if (isDigit(byte)) {
    if (state === "sign") return byte === 0x30 ? "zero" : "digits";
    if (state === "zero") return null;
    if (state === "point") return "fraction";
    return state === "e" || state === "e sign" ? "exponent" : state;
  }
  const isWhole = state === "zero" || state === "digits";
  if (byte === 0x2e) return isWhole ? "point" : null;
  if (byte === 0x65 || byte === 0x45) return isWhole || state === "fraction" ? "e" : null;
  return (byte === 0x2b || byte === 0x2d) && state === "e" ? "e sign" : null;
}

/** What may follow a backslash, besides `u`: " \ / b f n r t */
const ESCAPED: ReadonlySet<number> = new Set([QUOTE, BACKSLASH, 0x2f, 0x62, 0x66, 0x6e, 0x72, 0x74]);

function isDigit(byte: number): boolean {
  return byte >= 0x30 && byte <= 0x39;
}

function isHexDigit(byte: number): boolean {
  return isDigit(byte) || (byte >= 0x41 && byte <= 0x46) || (byte >= 0x61 && byte <= 0x66);
}
