/** Where JSON goes wrong, in the words and at the place of Python's parser, which vLLM's answers repeat. */

/** What is wrong, and at which character, from 0. */
export interface JsonMistake {
  readonly message: string;
  readonly at: number;
}

/** Thrown inside this room alone. */
class Mistake extends Error {
  readonly at: number;
  constructor(message: string, at: number) {
    super(message);
    this.at = at;
  }
}

const blank = /[ \t\n\r]*/y;
const plainValue = /null|true|false|NaN|-?Infinity|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][-+]?\d+)?/y;
// All that needs no second look: neither the closing quote, nor a backslash, nor a control character (below a blank).
const plainText = /[ !#-[\]-\uffff]*/y;

/** The first mistake in a text that is not JSON; undefined if Python would take it. */
export function findJsonMistake(text: string): JsonMistake | undefined {
  try {
    const end = skip(blank, text, readValue(text, skip(blank, text, 0)));
    return end === text.length ? undefined : mistakeAt(text, "Extra data", end);
  } catch (error) {
    if (error instanceof Mistake) return mistakeAt(text, error.message, error.at);
    throw error;
  }
}

/** Python counts characters, JavaScript UTF-16 units. */
function mistakeAt(text: string, message: string, at: number): JsonMistake {
  return { message, at: Array.from(text.slice(0, at)).length };
}

/** Reads one value from `at` and gives the place behind it; so do the functions below. */
function readValue(text: string, at: number): number {
  const char = text[at];
  if (char === '"') return readText(text, at);
  if (char === "{") return readObject(text, at);
  if (char === "[") return readArray(text, at);
  const end = skip(plainValue, text, at);
  if (end === at) throw new Mistake("Expecting value", at);
  return end;
}

function readObject(text: string, start: number): number {
  let at = skip(blank, text, start + 1);
  if (text[at] === "}") return at + 1;
  for (;;) {
    if (text[at] !== '"') throw new Mistake("Expecting property name enclosed in double quotes", at);
    at = skip(blank, text, readText(text, at));
    if (text[at] !== ":") throw new Mistake("Expecting ':' delimiter", at);
    at = skip(blank, text, readValue(text, skip(blank, text, at + 1)));
    if (text[at] === "}") return at + 1;
    if (text[at] !== ",") throw new Mistake("Expecting ',' delimiter", at);
    at = skip(blank, text, at + 1);
  }
}

function readArray(text: string, start: number): number {
  let at = skip(blank, text, start + 1);
  if (text[at] === "]") return at + 1;
  for (;;) {
    at = skip(blank, text, readValue(text, at));
    if (text[at] === "]") return at + 1;
    if (text[at] !== ",") throw new Mistake("Expecting ',' delimiter", at);
    at = skip(blank, text, at + 1);
  }
}

function readText(text: string, start: number): number {
  let at = start + 1;
  for (;;) {
    at = skip(plainText, text, at);
    const char = text[at];
    if (char === '"') return at + 1;
    if (char === undefined || (char === "\\" && at + 1 === text.length)) {
      throw new Mistake("Unterminated string starting at", start);
    }
    if (char !== "\\") throw new Mistake("Invalid control character at", at);
    if (text[at + 1] === "u") {
      if (!/^[0-9a-fA-F]{4}$/.test(text.slice(at + 2, at + 6))) throw new Mistake("Invalid \\uXXXX escape", at + 1);
      at += 6;
    } else {
      if (!'"\\/bfnrt'.includes(text[at + 1] ?? " ")) throw new Mistake("Invalid \\escape", at);
      at += 2;
    }
  }
}

function skip(pattern: RegExp, text: string, at: number): number {
  pattern.lastIndex = at;
  return pattern.test(text) ? pattern.lastIndex : at;
}
