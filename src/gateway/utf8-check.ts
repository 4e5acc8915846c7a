/** Whether bytes that come in pieces are UTF-8, wherever the pieces are cut. */
import { isUtf8 } from "node:buffer";

const NOTHING = Buffer.alloc(0);

/** One text. */
export class Utf8Check {
  #isValid = true;
  /** The beginning of a character that was cut. */
  #pending: Buffer = NOTHING;

  push(chunk: Buffer): void {
    if (!this.#isValid) return;
    const rest = this.#pending.length === 0 ? chunk : this.#complete(chunk);
    const end = rest.length - cutLength(rest);
    if (!isUtf8(end === rest.length ? rest : rest.subarray(0, end))) this.#isValid = false;
    // A copy: the chunk itself may be large.
    else if (end < rest.length) this.#pending = Buffer.from(rest.subarray(end));
  }

  /** Whether it was all valid; to be asked when it is over. */
  get isValid(): boolean {
    return this.#isValid && this.#pending.length === 0;
  }

  /** Returns what follows the character that was pending; nothing if that one is still not whole. */
  #complete(chunk: Buffer): Buffer {
    const missing = lengthOf(this.#pending[0] ?? 0) - this.#pending.length;
    const character = Buffer.concat([this.#pending, chunk.subarray(0, missing)]);
    if (chunk.length < missing) {
      this.#pending = character;
      return chunk.subarray(chunk.length);
    }
    this.#pending = NOTHING;
    if (!isUtf8(character)) this.#isValid = false;
    return chunk.subarray(missing);
  }
}

/** How many bytes at the end belong to a character that is not whole. */
function cutLength(bytes: Buffer): number {
  for (let back = 1; back <= 3 && back <= bytes.length; back += 1) {
    const byte = bytes[bytes.length - back] ?? 0;
    if (byte < 0x80) return 0;
    if (byte >= 0xc0) return lengthOf(byte) > back ? back : 0;
  }
  return 0;
}

/** By its first byte. What is none counts as whole, and is found invalid. */
function lengthOf(first: number): number {
  if (first >= 0xf0) return first < 0xf8 ? 4 : 1;
  if (first >= 0xe0) return 3;
  return first >= 0xc0 ? 2 : 1;
}
