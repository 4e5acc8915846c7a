import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { textEnd, wordsOf } from "./json-string.ts";

/** Byte by byte. */
function expectedEnd(chunk: Buffer, from: number): number {
  for (let at = from; at < chunk.length; at += 1) {
    const byte = chunk[at] ?? 0;
    if (byte < 0x20 || byte === 0x22) return at;
    if (byte === 0x5c) {
      const escape = /^\\(?:["\\/bfnrt]|u[\da-fA-F]{4})/.exec(chunk.toString("latin1", at, at + 6));
      if (escape === null) return at;
      at += escape[0].length - 1;
    }
  }
  return chunk.length;
}

test("Text is passed up to what has to be looked at, wherever the chunk lies in memory", () => {
  // Those beside the ones that end it, and those with the highest bit set, are where a word could be misread.
  const plain = fc.constantFrom(0x20, 0x21, 0x23, 0x5b, 0x5d, 0x7f, 0x80, 0xa2, 0xdc, 0x9f, 0xff).map((byte) => [byte]);
  const run = fc.integer({ min: 100, max: 300 }).map((length) => Array.from({ length }, (_, at) => 0x20 + (at % 2)));
  const escape = fc.constantFrom(...Buffer.from('"\\/bfnrtu0 x')).map((byte) => [0x5c, byte]);
  const long = fc.stringMatching(/^\\u[\daAfF]{4}$/).map((text) => Array.from(Buffer.from(text)));
  const special = fc.constantFrom(0x22, 0x1f, 0x00, 0x0a, 0x5c).map((byte) => [byte]);
  const pieces = fc.array(
    fc.oneof(
      { weight: 20, arbitrary: plain },
      { weight: 4, arbitrary: run },
      { weight: 6, arbitrary: escape },
      { weight: 6, arbitrary: long },
      { weight: 1, arbitrary: special },
    ),
    { maxLength: 40, size: "max" },
  );
  fc.assert(
    fc.property(pieces, fc.nat(9), fc.nat(20), (values, before, from) => {
      const bytes = values.flat();
      const memory = Buffer.allocUnsafeSlow(before + bytes.length + 7).fill(0x22);
      const chunk = memory.subarray(before, before + bytes.length);
      chunk.set(bytes);
      const start = Math.min(from, chunk.length);
      assert.equal(textEnd(chunk, wordsOf(chunk), start), expectedEnd(chunk, start));
    }),
    { numRuns: 5_000 },
  );
});

test("Each byte is told for what it is in each place of a word", () => {
  for (let byte = 0; byte < 256; byte += 1) {
    for (let place = 0; place < 8; place += 1) {
      const chunk = Buffer.alloc(256, "a");
      chunk[200 + place] = byte;
      assert.equal(textEnd(chunk, wordsOf(chunk), 0), expectedEnd(chunk, 0), `byte ${byte} in place ${place}`);
    }
  }
});

test("Each byte is told for what it is behind a backslash", () => {
  for (let byte = 0; byte < 256; byte += 1) {
    const chunk = Buffer.from([0x61, 0x5c, byte, 0x61]);
    assert.equal(textEnd(chunk, wordsOf(chunk), 0), expectedEnd(chunk, 0), `byte ${byte}`);
    for (let place = 3; place < 7; place += 1) {
      const digits = Buffer.from("a\\uAf09a");
      digits[place] = byte;
      assert.equal(textEnd(digits, wordsOf(digits), 0), expectedEnd(digits, 0), `byte ${byte} in place ${place}`);
    }
  }
});
