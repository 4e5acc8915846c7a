import assert from "node:assert/strict";
import { test } from "node:test";
import { array, assert as check, double, integer, property } from "fast-check";
import { TokenBucket } from "../gateway/token-bucket.ts";
import { createSharedMemory, forgetWorker, sharedConnections, sharedKeyCounts } from "./shared-counts.ts";

const ANY = { requestsPerMinute: null, inFlightMax: null };

test("What one worker counts, all of them see, and keys do not mix", () => {
  const memory = createSharedMemory(2, 2);
  const [first, second] = [sharedConnections(memory, 0), sharedConnections(memory, 1)];
  first.add();
  second.add();
  assert.deepEqual([first.value, second.value], [2, 2]);
  first.remove();
  assert.equal(second.value, 1);
  const limited = (worker: number, index: number) =>
    sharedKeyCounts(memory, worker, { index, allowance: { ...ANY, inFlightMax: 2 } }, () => 0);
  assert.deepEqual([limited(0, 0).begin(), limited(1, 0).begin(), limited(0, 0).begin()], [true, true, false]);
  assert.equal(limited(1, 1).begin(), true);
  limited(1, 0).end();
  assert.equal(limited(0, 0).begin(), true);
  assert.equal(second.value, 1);
});

test("What a worker has counted is taken off when it is forgotten, and what others have is not", () => {
  const memory = createSharedMemory(3, 1);
  const key = { index: 0, allowance: { ...ANY, inFlightMax: 3 } };
  for (const worker of [0, 1, 2]) {
    sharedConnections(memory, worker).add();
    assert.ok(sharedKeyCounts(memory, worker, key, () => 0).begin());
  }
  forgetWorker(memory, 1);
  assert.equal(sharedConnections(memory, 0).value, 2);
  assert.deepEqual(
    [0, 0].map((worker) => sharedKeyCounts(memory, worker, key, () => 0).begin()),
    [true, false],
  );
  forgetWorker(memory, 1);
  assert.equal(sharedConnections(memory, 0).value, 2);
});

test("A bucket that workers share gives what one of a single gateway gives", () => {
  const steps = array(double({ min: 0, max: 5_000, noNaN: true }), { maxLength: 60 });
  check(
    property(integer({ min: 1, max: 1_000 }), steps, (capacity, waits) => {
      const memory = createSharedMemory(2, 1);
      const key = { index: 0, allowance: { ...ANY, requestsPerMinute: capacity } };
      let nowMs = 1_000;
      const own = new TokenBucket(capacity, 60_000, nowMs);
      for (const [turn, wait] of waits.entries()) {
        nowMs += wait;
        const expected = own.take(nowMs);
        const found = sharedKeyCounts(memory, turn % 2, key, () => nowMs).take();
        // One counts in ns, the other one in fractions.
        assert.ok(Math.abs(expected - found) < 0.01, `${expected} and ${found}`);
        if ((expected === 0) !== (found === 0)) return;
      }
    }),
  );
});
