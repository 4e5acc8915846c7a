import assert from "node:assert/strict";
import { test } from "node:test";
import { SpokenMemory } from "./spoken-memory.ts";

const GIB = 1024 ** 3;

function heard(...lines: readonly string[]): SpokenMemory {
  const spoken = new SpokenMemory();
  for (const line of lines) spoken.take(line);
  return spoken;
}

const loaded = (gib: number): string => `Model loading took ${gib} GiB memory and 2.5 seconds`;
const slept = (freed: number, inUse: number): string =>
  `Sleep mode freed ${freed} GiB memory, ${inUse} GiB memory is still in use.`;
const backedUp = (gib: number): string =>
  `CuMemAllocator: sleep freed 20.00 GiB memory in total, of which ${gib} GiB is backed up in CPU and the rest 1.00 GiB is discarded directly.`;

test("before the first sleep the host's memory is expected to take what was loaded, by however many it was told", () => {
  assert.equal(heard(loaded(14)).hostBytes(1), 14 * GIB);
  assert.equal(heard(loaded(7)).hostBytes(2), 14 * GIB);
  assert.equal(heard(loaded(7), loaded(7.5)).hostBytes(2), 14.5 * GIB);
  assert.equal(heard("Loading weights took 1 seconds").hostBytes(2), null);
});

test("after a sleep it is what the workers say that they put there, in the last sleep alone", () => {
  const spoken = heard(loaded(7), backedUp(6.5), backedUp(6.5));
  assert.equal(spoken.hostBytes(2), 13 * GIB);
  spoken.beginSleep();
  assert.equal(spoken.hostBytes(2), 14 * GIB);
  spoken.take(backedUp(6));
  assert.equal(spoken.hostBytes(2), 6 * GIB);
});

test("of several GPUs the one with most in use counts, and what an earlier sleep said does not", () => {
  const spoken = heard(slept(10, 1.5), slept(11, 1.25));
  assert.equal(spoken.inUseBytes(), 1.5 * GIB);
  assert.deepEqual(spoken.freedBytes(), [10 * GIB, 11 * GIB]);
  spoken.beginSleep();
  assert.equal(spoken.inUseBytes(), null);
  assert.deepEqual(spoken.freedBytes(), []);
});
