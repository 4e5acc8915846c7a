import assert from "node:assert/strict";
import { test } from "node:test";
import { distributionOf, medianOf, quantileOf } from "./distribution.ts";

test("the median of an even number of values lies between the two in the middle", () => {
  assert.equal(medianOf([4, 1, 3, 2]), 2.5);
  assert.equal(medianOf([9, 1, 3]), 3);
});

test("the order of the values does not matter, and numbers are not sorted as texts", () => {
  assert.deepEqual(distributionOf([100, 9, 20]), { count: 3, min: 9, median: 20, p90: 84, p99: 98.4, max: 100 });
});

test("a quarter of the values lies below the first quartile, whatever their order", () => {
  assert.equal(quantileOf([5, 1, 4, 2, 3], 0.25), 2);
  assert.equal(quantileOf([10, 0], 0.25), 2.5);
});

test("of no values nothing is said", () => {
  assert.throws(() => distributionOf([]), RangeError);
});
