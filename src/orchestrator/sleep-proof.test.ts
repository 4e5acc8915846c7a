import assert from "node:assert/strict";
import { test } from "node:test";
import { proofByOutput, proofByProbe } from "./sleep-proof.ts";

const GIB = 1024 ** 3;

test("each worker speaks for its own GPU, and one that freed nothing is enough against it", () => {
  assert.deepEqual(proofByOutput([30 * GIB, 31 * GIB]), { kind: "freed", freedBytes: 61 * GIB, by: "engine output" });
  for (const nothing of [0, -GIB / 4]) assert.equal(proofByOutput([30 * GIB, nothing])?.kind, "not freed");
  assert.equal(proofByOutput([]), null);
});

test("the GPU's own figures prove a sleep, and disprove one", () => {
  assert.deepEqual(proofByProbe(40 * GIB, 1.5 * GIB), { kind: "freed", freedBytes: 38.5 * GIB, by: "gpu probe" });
  assert.equal(proofByProbe(40 * GIB, 40 * GIB).kind, "not freed");
  assert.equal(proofByProbe(40 * GIB, 30 * GIB).kind, "not freed");
});

test("a small engine whose usual residue is most of what it held has slept, one that holds all of it has not", () => {
  assert.equal(proofByProbe(2.5 * GIB, 1.7 * GIB).kind, "freed");
  assert.equal(proofByProbe(2.5 * GIB, 2.5 * GIB).kind, "not freed");
  assert.equal(proofByProbe(1.2 * GIB, 1.19 * GIB).kind, "not freed");
});

test("what nobody tells proves nothing either way", () => {
  for (const [awake, asleep] of [
    [null, 1],
    [1, null],
    [0, 0],
  ] as const) {
    assert.deepEqual(proofByProbe(awake, asleep), { kind: "unknown" });
  }
});
