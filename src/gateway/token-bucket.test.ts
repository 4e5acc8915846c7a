import assert from "node:assert/strict";
import { test } from "node:test";
import { array, assert as check, double, integer, property } from "fast-check";
import { TokenBucket } from "./token-bucket.ts";

test("A full bucket gives all it has at once, and then says how long the next token takes", () => {
  const bucket = new TokenBucket(3, 60_000, 1_000);
  assert.deepEqual(
    [1, 2, 3].map(() => bucket.take(1_000)),
    [0, 0, 0],
  );
  assert.equal(bucket.take(1_000), 20_000);
  assert.equal(bucket.take(11_000), 10_000);
  assert.equal(bucket.take(21_000), 0);
  assert.equal(bucket.take(21_000), 20_000);
});

test("A token is there when the bucket has said it would be", () => {
  const waits = array(double({ min: 0, max: 5_000, noNaN: true }), { maxLength: 50 });
  check(
    property(integer({ min: 1, max: 10_000 }), waits, (capacity, steps) => {
      const bucket = new TokenBucket(capacity, 60_000, 0);
      let nowMs = 0;
      for (const step of steps) {
        nowMs += step;
        const waitMs = bucket.take(nowMs);
        assert.ok(waitMs >= 0 && waitMs <= 60_000 / capacity);
        if (waitMs === 0) continue;
        nowMs += waitMs;
        assert.equal(bucket.take(nowMs), 0);
      }
    }),
  );
});

test("In no stretch of time are there more tokens than the bucket holds and what flowed in", () => {
  const steps = array(double({ min: 0, max: 3_000, noNaN: true }), { minLength: 1, maxLength: 200 });
  check(
    property(integer({ min: 1, max: 60 }), steps, (capacity, waits) => {
      const bucket = new TokenBucket(capacity, 60_000, 0);
      let nowMs = 0;
      let taken = 0;
      for (const wait of waits) {
        nowMs += wait;
        if (bucket.take(nowMs) === 0) taken += 1;
      }
      assert.ok(taken <= capacity + (nowMs * capacity) / 60_000 + 0.001);
    }),
  );
});

test("A clock that goes back fills nothing", () => {
  const bucket = new TokenBucket(1, 60_000, 1_000);
  assert.equal(bucket.take(500), 0);
  assert.equal(bucket.take(0), 60_000);
});
