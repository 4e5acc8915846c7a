import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { plainEnd } from "./json-plain.ts";

/** Byte by byte. */
function expectedEnd(chunk: Buffer, from: number): number {
  const at = chunk.findIndex((byte, index) => index >= from && (byte === 0x22 || byte === 0x5c || byte < 0x20));
  return at === -1 ? chunk.length : at;
}

test("Plain bytes end at the first quote, backslash or control character, wherever the chunk lies in memory", () => {
  // Those beside the ones that end it, and those with the highest bit set, are where a word could be misread.
  const neighbours = fc.constantFrom(0x20, 0x21, 0x23, 0x5b, 0x5d, 0x7f, 0x80, 0xa2, 0xdc, 0x9f, 0xff);
  const enders = fc.constantFrom(0x22, 0x5c, 0x1f, 0x00, 0x0a);
  const byte = fc.oneof({ weight: 200, arbitrary: neighbours }, { weight: 1, arbitrary: enders });
  const bytes = fc.array(fc.oneof({ weight: 30, arbitrary: byte }, { weight: 1, arbitrary: fc.nat(255) }), {
    maxLength: 400,
    size: "max",
  });
  fc.assert(
    fc.property(bytes, fc.nat(9), fc.nat(100), (values, before, from) => {
      const memory = Buffer.allocUnsafeSlow(before + values.length + 7).fill(0x22);
      const chunk = memory.subarray(before, before + values.length);
      chunk.set(values);
      const start = Math.min(from, chunk.length);
      assert.equal(plainEnd(chunk, start), expectedEnd(chunk, start));
    }),
    { numRuns: 5_000 },
  );
});

test("Each byte is told for what it is in each place of a word", () => {
  for (let byte = 0; byte < 256; byte += 1) {
    for (let place = 0; place < 8; place += 1) {
      const chunk = Buffer.alloc(256, "a");
      chunk[200 + place] = byte;
      assert.equal(plainEnd(chunk, 0), expectedEnd(chunk, 0), `byte ${byte} in place ${place}`);
    }
  }
});
