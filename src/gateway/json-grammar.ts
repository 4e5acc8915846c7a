/** JSON's grammar over bytes that come in pieces: tells what stands at the top, and whether it is JSON at all. */
import { assert } from "../base/assert.ts";
import { textEnd, wordsOf } from "./json-string.ts";

/** Who wants to know. A value that is no string is told by its first byte. */
export interface JsonListener {
  /** What the whole document is. */
  onRoot(first: number): void;
  /** A key of the outermost object: a literal with its quotes, from `from` to before `to`. Returns whether its value is wanted. */
  onKey(bytes: Buffer, from: number, to: number): boolean;
  /** The wanted value, where it is no string. */
  onValue(first: number): void;
  /** The wanted value where it is one, as such a literal, which begins at `position` of the document. */
  onString(bytes: Buffer, from: number, to: number, position: number): void;
}

/** A literal that is longer may be told by its length alone: its beginning is gone, and `from` is negative. */
export const LITERAL_BYTES_MAX = 4_096;

/** Deeper nesting is refused: it has no use, and what is open must be kept. */
const DEPTH_MAX = 10_000;

// Where in the grammar the next byte stands. Numbers, because each is a row of a table; those inside of strings are the first.
const TEXT = 0;
const ESCAPE = 1;
const HEX_1 = 2;
const HEX_2 = 3;
const HEX_3 = 4;
const HEX_4 = 5;
const ROOT = 6;
const VALUE = 7;
const VALUE_OR_END = 8;
const WANTED_VALUE = 9;
const KEY = 10;
const KEY_OR_END = 11;
const COLON = 12;
const WANTED_COLON = 13;
const AFTER_VALUE = 14;
const SIGN = 15;
const ZERO = 16;
const DIGITS = 17;
const POINT = 18;
const FRACTION = 19;
const E = 20;
const E_SIGN = 21;
const EXPONENT = 22;
/** The first of those inside of words. */
const IN_WORD = 23;

// What a byte can ask for besides another state.
const BREAK = 64;
const TELL_ROOT = 65;
const TELL_VALUE = 66;
const OPEN_OBJECT = 67;
const OPEN_ARRAY = 68;
const CLOSE_OBJECT = 69;
const CLOSE_ARRAY = 70;
const COMMA = 71;
const BEGIN_KEY = 72;
const BEGIN_STRING = 73;
const BEGIN_WANTED = 74;
const END_STRING = 75;

// What a string is. The last two are read by somebody.
const ANY_STRING = 0;
const ANY_KEY = 1;
const TOP_KEY = 2;
const WANTED_STRING = 3;

/** There are so many kinds of bytes at most. */
const KINDS_MAX = 32;

/** The kind of each byte, and by state and kind what it does: a kilobyte in all, for after a pause none of it is in the processor's cache. */
const { kinds: KINDS, steps: STEPS } = packed(grammar());

/** One document. Bytes of strings are only looked at as far as the grammar needs; whether they are UTF-8 is not its concern. */
export class JsonGrammar {
  readonly #listener: JsonListener;
  #state = ROOT;
  /** What is open, outermost first: true for objects. */
  readonly #open: boolean[] = [];
  /** Where in the document the chunk begins. */
  #position = 0;
  #string = ANY_STRING;
  /** Where in the chunk the last string begins that somebody reads; negative where it began before. */
  #stringFrom = 0;
  /** What came of it in the chunks before. */
  #held: Buffer | null = null;
  #fault: string | null = null;

  constructor(listener: JsonListener) {
    this.#listener = listener;
  }

  /** All that is done for each byte is done in this loop, with its state in variables. */
  push(chunk: Buffer): void {
    if (this.#fault !== null) return;
    const { length } = chunk;
    const words = wordsOf(chunk);
    const open = this.#open;
    let state = this.#state;
    let string = this.#string;
    let from = this.#stringFrom;
    let at = 0;
    while (at < length) {
      if (state === TEXT) {
        at = textEnd(chunk, words, at);
        if (at === length) break;
      }
      const byte = chunk[at] ?? 0;
      const step = STEPS[state * KINDS_MAX + (KINDS[byte] ?? 0)] ?? BREAK;
      switch (step) {
        case END_STRING:
          if (string === ANY_STRING) state = AFTER_VALUE;
          else state = string === ANY_KEY ? COLON : this.#tell(string, chunk, from, at + 1);
          break;
        case BEGIN_STRING:
          string = ANY_STRING;
          state = TEXT;
          break;
        case BEGIN_KEY:
          string = open.length === 1 ? TOP_KEY : ANY_KEY;
          from = at;
          state = TEXT;
          break;
        case BEGIN_WANTED:
          string = WANTED_STRING;
          from = at;
          state = TEXT;
          break;
        case COMMA:
          if (open.length === 0) return this.#break(at);
          state = open[open.length - 1] === true ? KEY : VALUE;
          break;
        case OPEN_OBJECT:
        case OPEN_ARRAY:
          if (open.length === DEPTH_MAX) return this.#tooDeep();
          open.push(step === OPEN_OBJECT);
          state = step === OPEN_OBJECT ? KEY_OR_END : VALUE_OR_END;
          break;
        case CLOSE_OBJECT:
        case CLOSE_ARRAY:
          if (open.pop() !== (step === CLOSE_OBJECT)) return this.#break(at);
          state = AFTER_VALUE;
          break;
        case TELL_ROOT:
        case TELL_VALUE:
          if (step === TELL_ROOT) this.#listener.onRoot(byte);
          else this.#listener.onValue(byte);
          state = VALUE;
          // It is the first byte of the value as well.
          continue;
        case BREAK:
          return this.#break(at);
        default:
          state = step;
      }
      at += 1;
    }
    this.#position += length;
    this.#state = state;
    this.#string = string;
    this.#stringFrom = from - length;
    if (string >= TOP_KEY && state <= HEX_4) this.#hold(from < 0 ? chunk : chunk.subarray(from), length - from);
  }

  /** The document is over. Null if it was one, else what is wrong with it. */
  end(): string | null {
    if (this.#fault !== null) return this.#fault;
    return this.#open.length === 0 && mayEnd(this.#state) ? null : "The body is not valid JSON: it ends too early.";
  }

  /** A string that somebody reads is over. Returns the next state. */
  #tell(string: number, chunk: Buffer, start: number, end: number): number {
    let [bytes, from, to] = [chunk, start, end];
    if (this.#held !== null) {
      bytes = Buffer.concat([this.#held, chunk.subarray(0, end)]);
      [from, to] = [0, bytes.length];
      this.#held = null;
    }
    if (string === TOP_KEY) return this.#listener.onKey(bytes, from, to) ? WANTED_COLON : COLON;
    this.#listener.onString(bytes, from, to, this.#position + start);
    return AFTER_VALUE;
  }

  #hold(bytes: Buffer, stringBytes: number): void {
    if (stringBytes > LITERAL_BYTES_MAX) this.#held = null;
    else this.#held = this.#held === null ? Buffer.from(bytes) : Buffer.concat([this.#held, bytes]);
  }

  #break(at: number): void {
    this.#fault = `The body is not valid JSON: it breaks at position ${this.#position + at}.`;
  }

  #tooDeep(): void {
    this.#fault = `The body is nested deeper than ${DEPTH_MAX} levels.`;
  }
}

function mayEnd(state: number): boolean {
  return state === AFTER_VALUE || state === ZERO || state === DIGITS || state === FRACTION || state === EXPONENT;
}

/** What bytes do, many by one key; those of a row differ. */
type Row = Readonly<Record<string, number>>;

/** What bytes do in each state; all others break. */
function grammar(): readonly (readonly [state: number, row: Row])[] {
  const space = " \t\n\r";
  const digits = "0123456789";
  const hex = `${digits}abcdefABCDEF`;
  const after = { [space]: AFTER_VALUE, ",": COMMA, "}": CLOSE_OBJECT, "]": CLOSE_ARRAY };
  const begin: Record<string, number> = {
    "{": OPEN_OBJECT,
    "[": OPEN_ARRAY,
    "-": SIGN,
    "0": ZERO,
    "123456789": DIGITS,
  };
  const inWords: [state: number, row: Row][] = [];
  for (const word of ["true", "false", "null"]) {
    begin[word.charAt(0)] = IN_WORD + inWords.length;
    for (let at = 1; at < word.length; at += 1) {
      const state = IN_WORD + inWords.length;
      inWords.push([state, { [word.charAt(at)]: at === word.length - 1 ? AFTER_VALUE : state + 1 }]);
    }
  }
  const first = Object.keys(begin).join("");
  return [
    [ROOT, { [space]: ROOT, [first]: TELL_ROOT, '"': TELL_ROOT }],
    [VALUE, { [space]: VALUE, ...begin, '"': BEGIN_STRING }],
    [VALUE_OR_END, { [space]: VALUE_OR_END, ...begin, '"': BEGIN_STRING, "]": CLOSE_ARRAY }],
    [WANTED_VALUE, { [space]: WANTED_VALUE, [first]: TELL_VALUE, '"': BEGIN_WANTED }],
    [KEY, { [space]: KEY, '"': BEGIN_KEY }],
    [KEY_OR_END, { [space]: KEY_OR_END, '"': BEGIN_KEY, "}": CLOSE_OBJECT }],
    [COLON, { [space]: COLON, ":": VALUE }],
    [WANTED_COLON, { [space]: WANTED_COLON, ":": WANTED_VALUE }],
    [AFTER_VALUE, after],
    [TEXT, { '"': END_STRING, "\\": ESCAPE }],
    [ESCAPE, { '"\\/bfnrt': TEXT, u: HEX_1 }],
    [HEX_1, { [hex]: HEX_2 }],
    [HEX_2, { [hex]: HEX_3 }],
    [HEX_3, { [hex]: HEX_4 }],
    [HEX_4, { [hex]: TEXT }],
    [SIGN, { "0": ZERO, "123456789": DIGITS }],
    [ZERO, { ...after, ".": POINT, eE: E }],
    [DIGITS, { ...after, [digits]: DIGITS, ".": POINT, eE: E }],
    [POINT, { [digits]: FRACTION }],
    [FRACTION, { ...after, [digits]: FRACTION, eE: E }],
    [E, { "+-": E_SIGN, [digits]: EXPONENT }],
    [E_SIGN, { [digits]: EXPONENT }],
    [EXPONENT, { ...after, [digits]: EXPONENT }],
    ...inWords,
  ];
}

/** Bytes that do the same in every state are of one kind. */
function packed(rows: ReturnType<typeof grammar>): { readonly kinds: Uint8Array; readonly steps: Uint8Array } {
  const kinds = new Uint8Array(256);
  const steps = new Uint8Array(rows.length * KINDS_MAX).fill(BREAK);
  const known = new Map<string, number>();
  for (let byte = 0; byte < 256; byte += 1) {
    const character = String.fromCharCode(byte);
    const column = rows.map(
      ([, row]) => Object.entries(row).find(([bytes]) => bytes.includes(character))?.[1] ?? BREAK,
    );
    const kind = known.get(column.join()) ?? known.size;
    known.set(column.join(), kind);
    kinds[byte] = kind;
    for (const [index, [state]] of rows.entries()) steps[state * KINDS_MAX + kind] = column[index] ?? BREAK;
  }
  assert(known.size <= KINDS_MAX, "JSON has no more kinds of bytes");
  return { kinds, steps };
}
