import assert from "node:assert/strict";
import { test } from "node:test";
import { newRequestId } from "./request-id.ts";
import { collectGarbage } from "./testing/garbage.ts";

const COUNT = 20_000;

test("Each id is another one, and a UUID", () => {
  const ids = Array.from({ length: 1_000 }, () => newRequestId());
  assert.equal(new Set(ids).size, ids.length);
  for (const id of ids) assert.match(id, /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
});

test("An id that is kept takes its 36 bytes and little more", () => {
  const ids = Array.from<string>({ length: COUNT }).fill("");
  collectGarbage();
  const beforeBytes = process.memoryUsage().heapUsed;
  for (let index = 0; index < COUNT; index += 1) ids[index] = newRequestId();
  collectGarbage();
  const eachBytes = (process.memoryUsage().heapUsed - beforeBytes) / COUNT;
  assert.ok(eachBytes < 150, `${eachBytes} bytes each`);
  assert.equal(ids.length, COUNT);
});
