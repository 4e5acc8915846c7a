import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { MadeResponses, ResponseIdSearch } from "./made-responses.ts";

const HEADS = [
  '{"id":"resp_1","object":"response","output":[{"id":"msg_2"}]}',
  '{\n "created_at": 1, "id" : "resp_1"}',
  'event: response.created\ndata: {"type":"response.created","sequence_number":0,"response":{"id":"resp_1","object":"response"}}\n\n',
];

test("The id of an answer is found once, wherever its beginning is cut", () => {
  fc.assert(
    fc.property(fc.constantFrom(...HEADS), fc.array(fc.integer({ min: 1, max: 60 })), (head, sizes) => {
      const search = new ResponseIdSearch();
      const found: string[] = [];
      let at = 0;
      for (const size of [...sizes, head.length]) {
        const id = search.push(Buffer.from(head.slice(at, at + size)));
        if (id !== null) found.push(id);
        at += size;
      }
      assert.deepEqual(found, ["resp_1"]);
    }),
  );
});

test("An answer that begins with anything else has no id, and is not kept", () => {
  const search = new ResponseIdSearch();
  for (let index = 0; index < 100; index += 1) assert.equal(search.push(Buffer.alloc(1_000, "x")), null);
  assert.equal(search.push(Buffer.from('"id":"late"')), null);
});

test("The last ten thousand are remembered", () => {
  const made = new MadeResponses();
  for (let index = 0; index < 10_001; index += 1) made.remember(`r${index}`, `m${index % 3}`);
  assert.equal(made.find("r0"), null);
  assert.equal(made.find("r1"), "m1");
  made.remember("r1", "other");
  made.remember("new", "m");
  assert.equal(made.find("r1"), "other");
  assert.equal(made.find("r2"), null);
});
