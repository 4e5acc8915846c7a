import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { dataOf, forEachData } from "./chunk-frames.ts";

test("The data of chunks is found, however their sizes are written", () => {
  const frames = Buffer.from("1\r\na\r\n0002\r\n\r\n\r\nA\r\n0123456789\r\nb\r\n0123456789x\r\n");
  const data: string[] = [];
  forEachData(frames, (from, to) => data.push(frames.toString("latin1", from, to)));
  assert.deepEqual(data, ["a", "\r\n", "0123456789", "0123456789x"]);
});

test("Framed and unframed, bytes are what they were", () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ minLength: 1, maxLength: 300 })), fc.boolean(), (chunks, isLarge) => {
      const frames = chunks.flatMap((chunk) => {
        const size = chunk.length.toString(16);
        return [Buffer.from(`${isLarge ? size.toUpperCase() : size}\r\n`), chunk, Buffer.from("\r\n")];
      });
      assert.ok(dataOf(Buffer.concat(frames)).equals(Buffer.concat(chunks)));
    }),
  );
});
