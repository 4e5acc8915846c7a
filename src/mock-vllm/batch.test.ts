import assert from "node:assert/strict";
import { test } from "node:test";
import { array, assert as check, integer, property, record } from "fast-check";
import { EngineModel, type Job } from "../simulation/engine-model.ts";
import { VirtualClock } from "../simulation/virtual-clock.ts";
import { Batch } from "./batch.ts";

const SPEED = { itlMs: 10, prefillTokensPerMs: 12 };

/** All tokens of one request, with their times, when nobody looks but at the times that the batch itself names. */
function timesOf<K>(batch: Batch<K>, key: K): number[] {
  const times: number[] = [];
  for (let dueMs = batch.nextDueMs(); dueMs !== Infinity; dueMs = batch.nextDueMs()) {
    batch.advance(dueMs);
    while (times.length < batch.tokensOut(key)) times.push(dueMs);
  }
  return times;
}

function assertNear(actual: readonly number[], expected: readonly number[]): void {
  assert.deepEqual(actual.map(Math.round), expected.map(Math.round));
}

test("alone, a request has its first token when its prompt is read, and one each itl from there", () => {
  const batch = new Batch<string>(SPEED, 0);
  batch.join("a", { promptTokens: 1_200, outputTokens: 4 }, 0);
  assertNear(timesOf(batch, "a"), [100, 110, 120, 130]);
});

test("prompts are read one after another, and slow down those that write", () => {
  const batch = new Batch<string>(SPEED, 0);
  batch.join("a", { promptTokens: 1_200, outputTokens: 7 }, 0);
  batch.join("b", { promptTokens: 600, outputTokens: 1 }, 0);
  // From 100 to 150 the prompt of b is read: 0.6 of the speed, so a token of a each 16.7 ms.
  assertNear(timesOf(batch, "a"), [100, 100 + 50 / 3, 100 + 100 / 3, 150, 160, 170, 180]);
});

test("sixty-four that write are half as fast as one", () => {
  const batch = new Batch<number>(SPEED, 0);
  for (let at = 0; at < 64; at += 1) batch.join(at, { promptTokens: 0, outputTokens: 11 }, 0);
  assertNear(timesOf(batch, 5), [0, 20, 40, 60, 80, 100, 120, 140, 160, 180, 200]);
});

test("a frozen batch stands still, and reads all it had before it goes on where it was", () => {
  const batch = new Batch<string>(SPEED, 0);
  batch.join("a", { promptTokens: 1_200, outputTokens: 4 }, 0);
  batch.advance(115);
  assert.equal(batch.tokensOut("a"), 2);
  batch.freeze(115);
  assert.equal(batch.nextDueMs(), Infinity);
  batch.advance(5_000);
  assert.equal(batch.tokensOut("a"), 2);
  batch.thaw(5_000);
  const againMs = 1_202 / 12;
  assertNear([batch.nextDueMs()], [5_000 + againMs]);
  assertNear(timesOf(batch, "a").slice(2), [5_000 + againMs, 5_000 + againMs + 10]);
});

test("who leaves gives its share of the speed back at once, in the prefill too", () => {
  const batch = new Batch<string>(SPEED, 0);
  batch.join("a", { promptTokens: 12, outputTokens: 3 }, 0);
  batch.join("b", { promptTokens: 12_000, outputTokens: 5 }, 0);
  // From 1 to 7 the prompt of b is read.
  batch.leave("b", 7);
  assertNear(timesOf(batch, "a").slice(1), [7 + 0.64 * 10, 7 + 1.64 * 10]);
});

test("however late and seldom it is asked, everything has happened when it was due", () => {
  const batch = new Batch<string>(SPEED, 0);
  batch.join("a", { promptTokens: 1_200, outputTokens: 3 }, 0);
  batch.join("b", { promptTokens: 1_200, outputTokens: 2 }, 0);
  batch.advance(199);
  assert.deepEqual([batch.tokensOut("a"), batch.tokensOut("b")], [3, 0]);
  batch.advance(200.1);
  assert.equal(batch.tokensOut("b"), 1);
  batch.advance(10_000);
  assert.equal(batch.tokensOut("b"), 2);
  assert.equal(batch.nextDueMs(), Infinity);
});

/** The simulation's engine, fed with the same requests: first and last token of each, in ms. */
function simulated(jobs: readonly { atMs: number; promptTokens: number; outputTokens: number }[]): number[][] {
  const clock = new VirtualClock(null);
  const times = jobs.map(() => [Infinity, Infinity]);
  type Numbered = Job & { at: number };
  const engine = new EngineModel<Numbered>({ itlMs: 10, prefillTokensPerSecond: 12_000 }, clock, {
    onFirstToken: (job) => times[job.at]?.splice(0, 1, clock.nowMs),
    onEnd: (job) => times[job.at]?.splice(1, 1, clock.nowMs),
  });
  for (const [at, { atMs, promptTokens, outputTokens }] of jobs.entries()) {
    clock.at(atMs, () => engine.submit({ at, promptTokens, outputTokens, state: "waiting", endsAtWork: 0 }));
  }
  while (clock.step());
  return times;
}

test("up to sixty-four requests take the time that the simulation says", () => {
  const job = record({
    atMs: integer({ min: 0, max: 2_000 }),
    promptTokens: integer({ min: 1, max: 3_000 }),
    outputTokens: integer({ min: 1, max: 40 }),
  });
  check(
    property(array(job, { minLength: 1, maxLength: 64 }), (unsorted) => {
      const jobs = unsorted.toSorted((a, b) => a.atMs - b.atMs);
      const batch = new Batch<number>(SPEED, 0);
      const times = jobs.map(() => [Infinity, Infinity]);
      const look = (nowMs: number): void => {
        for (const [at, { outputTokens }] of jobs.entries()) {
          const out = batch.tokensOut(at);
          if (out >= 1 && times[at]?.[0] === Infinity) times[at]?.splice(0, 1, nowMs);
          if (out === outputTokens && times[at]?.[1] === Infinity) times[at]?.splice(1, 1, nowMs);
        }
      };
      const goOn = (untilMs: number): void => {
        for (let dueMs = batch.nextDueMs(); dueMs < untilMs; dueMs = batch.nextDueMs()) {
          batch.advance(dueMs);
          look(dueMs);
        }
      };
      for (const [at, one] of jobs.entries()) {
        goOn(one.atMs);
        batch.join(at, one, one.atMs);
        look(one.atMs);
      }
      goOn(Infinity);
      const expected = simulated(jobs);
      for (const [at, [first = 0, last = 0]] of times.entries()) {
        assert.ok(Math.abs(first - (expected[at]?.[0] ?? 0)) < 0.01, `first token of ${at}`);
        assert.ok(Math.abs(last - (expected[at]?.[1] ?? 0)) < 0.01, `last token of ${at}`);
      }
    }),
    { numRuns: 60 },
  );
});
