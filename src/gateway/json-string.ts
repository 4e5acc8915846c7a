/** The inside of JSON strings, which is nearly all of a large body: passed over as fast as possible. */
import { endianness } from "node:os";

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const SPACE = 0x20;

/** The first byte in memory is to be the lowest of its word. Elsewhere all is done byte by byte. */
const HAS_WORDS = endianness() === "LE";

/** By byte: 1 for what is a whole escape behind a backslash. */
const ESCAPED = new Uint8Array(256);
for (const byte of Buffer.from('"\\/bfnrt')) ESCAPED[byte] = 1;

/** The bytes of a chunk, four at a time where the system has words begin: the first word may begin before the chunk. */
export function wordsOf(chunk: Buffer): Int32Array {
  const before = chunk.byteOffset & 3;
  return new Int32Array(chunk.buffer, chunk.byteOffset - before, HAS_WORDS ? (before + chunk.length) >> 2 : 0);
}

/**
 * Where the text that goes on at `from`, outside of any escape, has to be looked at: at the closing quote, at a control character, at a
 * backslash unless it and one more byte are a whole escape, or at the end of the chunk.
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
    if (at + 1 >= length || chunk[at] !== BACKSLASH || ESCAPED[chunk[at + 1] ?? 0] !== 1) return at;
    at += 2;
  }
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
