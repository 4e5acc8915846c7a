import assert from "node:assert/strict";
import { test } from "node:test";
import { Surge } from "./surge.ts";

function timesOver(counts: readonly number[]): number {
  let times = 0;
  const surge = new Surge(() => (times += 1));
  for (const count of counts) surge.onCount(count);
  return times;
}

test("a surge is over when a tenth of it is left, and each is over once", () => {
  assert.equal(timesOver([1_000, 500, 101]), 0);
  assert.equal(timesOver([1_000, 500, 101, 100, 50, 0]), 1);
  assert.equal(timesOver([5_000, 500, 900, 0, 2_000, 200]), 2);
});

test("fewer than a thousand requests are no surge, however often they come and go", () => {
  assert.equal(timesOver([999, 0, 999, 0]), 0);
});
