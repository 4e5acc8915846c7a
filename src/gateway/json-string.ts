/** The inside of JSON strings, which is nearly all of a large body: passed over as fast as possible. */

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const SPACE = 0x20;
const SLASH = 0x2f;

/** After this many plain bytes in a row, four are looked at together: a third of the time, once there is a view of words. */
const SINGLE_BYTES = 128;

const WORD_BYTES = 4;

/**
 * Where the text that goes on at `from`, outside of any escape, has to be looked at: at the closing quote, at a control character, at a
 * backslash unless it and one more byte are a whole escape, or at the end of the chunk.
 */
export function textEnd(chunk: Buffer, from: number): number {
  const { length } = chunk;
  let at = from;
  for (;;) {
    const near = Math.min(length, at + SINGLE_BYTES);
    const isLong = near - at === SINGLE_BYTES;
    at = singlesEnd(chunk, at, near);
    if (isLong && at === near) at = singlesEnd(chunk, wordsEnd(chunk, at), length);
    if (at + 1 >= length || chunk[at] !== BACKSLASH || !isShortEscape(chunk[at + 1] ?? 0)) return at;
    at += 2;
  }
}

function singlesEnd(chunk: Buffer, from: number, to: number): number {
  let at = from;
  while (at < to && isPlain(chunk[at] ?? 0)) at += 1;
  return at;
}

function isPlain(byte: number): boolean {
  return byte !== QUOTE && byte !== BACKSLASH && byte >= SPACE;
}

/** By the byte that follows the backslash: whether that is all there is to the escape. */
function isShortEscape(byte: number): boolean {
  // The letters are b, f, n, r and t.
  return (
    byte === QUOTE ||
    byte === BACKSLASH ||
    byte === SLASH ||
    byte === 0x6e ||
    byte === 0x74 ||
    byte === 0x72 ||
    byte === 0x62 ||
    byte === 0x66
  );
}

/** Not beyond the end of the plain bytes, and less than a word before it, unless the chunk ends first. */
function wordsEnd(chunk: Buffer, from: number): number {
  const { byteOffset, length } = chunk;
  // Where the system has words begin.
  const first = Math.ceil((byteOffset + from) / WORD_BYTES) * WORD_BYTES - byteOffset;
  const at = singlesEnd(chunk, from, Math.min(first, length));
  if (at < first) return at;
  const count = Math.floor((length - first) / WORD_BYTES);
  const words = new Int32Array(chunk.buffer, byteOffset + first, count);
  let index = 0;
  while (index < count && !mayBeSpecial(words[index] ?? 0)) index += 1;
  return first + index * WORD_BYTES;
}

/**
 * Whether one of four bytes is a quote, a backslash or below 0x20. Each difference has the highest bit of a byte set where that byte was
 * smaller than what is taken off, and had that bit not set before.
 */
function mayBeSpecial(word: number): boolean {
  const quotes = word ^ 0x22222222;
  const backslashes = word ^ 0x5c5c5c5c;
  const controls = (word - 0x20202020) & ~word;
  const found = controls | ((quotes - 0x01010101) & ~quotes) | ((backslashes - 0x01010101) & ~backslashes);
  return (found & 0x80808080) !== 0;
}
