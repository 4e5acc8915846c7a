/** The inside of JSON strings, which is nearly all of a large body: passed over as fast as possible. */
import { endianness } from "node:os";

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const SPACE = 0x20;

/** The first byte in memory is to be the lowest of its word. Elsewhere all is done byte by byte. */
const HAS_WORDS = endianness() === "LE";

/** By byte: whether it is a whole escape behind a backslash, and whether it is one of the four digits behind `u`. */
const MARKS = new Uint8Array(256);
const IS_ESCAPE = 1;
const IS_HEX = 2;
for (const byte of Buffer.from('"\\/bfnrt')) MARKS[byte] = IS_ESCAPE;
for (const byte of Buffer.from("0123456789abcdefABCDEF")) MARKS[byte] = (MARKS[byte] ?? 0) | IS_HEX;

/** The bytes of a chunk, four at a time where the system has words begin: the first word may begin before the chunk. */
export function wordsOf(chunk: Buffer): Int32Array {
  const before = chunk.byteOffset & 3;
  return new Int32Array(chunk.buffer, chunk.byteOffset - before, HAS_WORDS ? (before + chunk.length) >> 2 : 0);
}

/**
 * Where the text that goes on at `from`, outside of any escape, has to be looked at: at the closing quote, at a control character, at a
 * backslash unless it begins a whole escape, or at the end of the chunk.
 */
export function textEnd(chunk: Buffer, words: Int32Array, from: number): number {
  const { length } = chunk;
  const count = words.length;
  const before = chunk.byteOffset & 3;
  let at = from;
  for (;;) {
    let index = (before + at) >> 2;
    if (index < count) {
      // The bytes before `at` are made plain ones.
      let special = specialIn((words[index] ?? 0) | ((1 << (((before + at) & 3) << 3)) - 1));
      while (special === 0 && ++index < count) special = specialIn(words[index] ?? 0);
      at = (index << 2) - before + (special === 0 ? 0 : (31 - Math.clz32(special & -special)) >> 3);
    }
    if (index >= count) while (at < length && isPlain(chunk[at] ?? 0)) at += 1;
    const behind = escapeEnd(chunk, at);
    if (behind === at) return at;
    at = behind;
  }
}

/** Returns `at` itself where there is no escape, or not all of it. */
function escapeEnd(chunk: Buffer, at: number): number {
  if (at + 1 >= chunk.length || chunk[at] !== BACKSLASH) return at;
  const letter = chunk[at + 1] ?? 0;
  if (letter !== 0x75) return (marks(letter) & IS_ESCAPE) === 0 ? at : at + 2;
  if (at + 5 >= chunk.length) return at;
  const first = marks(chunk[at + 2] ?? 0) & marks(chunk[at + 3] ?? 0);
  const last = marks(chunk[at + 4] ?? 0) & marks(chunk[at + 5] ?? 0);
  return (first & last & IS_HEX) === 0 ? at : at + 6;
}

function marks(byte: number): number {
  return MARKS[byte] ?? 0;
}

function isPlain(byte: number): boolean {
  return byte !== QUOTE && byte !== BACKSLASH && byte >= SPACE;
}

/**
 * Not 0 if one of the four bytes is a quote, a backslash or below 0x20; the lowest bit that is set is then the highest of the first of
 * them. Each difference has the highest bit of a byte set where that byte was smaller than what is taken off, and had that bit not set
 * before; behind such a byte it may have been set by what had to be borrowed.
 */
function specialIn(word: number): number {
  // The quote becomes a space, and what is below that stays there.
  const quotes = word ^ 0x02020202;
  const backslashes = word ^ 0x5c5c5c5c;
  return (((quotes - 0x21212121) & ~quotes) | ((backslashes - 0x01010101) & ~backslashes)) & 0x80808080;
}
