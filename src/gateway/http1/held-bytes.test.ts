import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { HeldBytes } from "./held-bytes.ts";

test("What is held is what was added, and what it came in is not touched", () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 40 }), { minLength: 1 }), ([first = new Uint8Array(), ...more]) => {
      const around = Buffer.concat([first, Buffer.from("behind")]);
      const held = new HeldBytes(around.subarray(0, first.length));
      for (const piece of more) held.add(Buffer.from(piece));
      assert.deepEqual(held.bytes, Buffer.concat([first, ...more]));
      assert.equal(held.length, held.bytes.length);
      assert.equal(around.toString("latin1", first.length), "behind");
    }),
  );
});
