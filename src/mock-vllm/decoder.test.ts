import assert from "node:assert/strict";
import { setImmediate as turn } from "node:timers/promises";
import { test } from "node:test";
import { ClientGoneError, Decoder } from "./decoder.ts";
import { EngineDeadError } from "./engine-link.ts";
import { SteadyTempo } from "./tempo.ts";

function decoder(maxRunning = 10): Decoder {
  return new Decoder({ maxRunning, tempo: new SteadyTempo({ ttftMs: 0, itlMs: 0 }), onStart: () => true });
}

const nobodyLeaves = new AbortController().signal;

async function collect(
  run: AsyncGenerator<number, "abort" | undefined>,
): Promise<{ count: number; end: "abort" | undefined }> {
  for (let count = 0; ; count += 1) {
    const next = await run.next();
    if (next.done === true) return { count, end: next.value };
  }
}

test("a request runs token by token to its end", async () => {
  assert.deepEqual(await collect(decoder().run(5, nobodyLeaves)), { count: 5, end: undefined });
});

test("no more than the limit run at once, and the rest wait their turn", async () => {
  const two = decoder(2);
  let most = 0;
  const runs = [1, 2, 3, 4, 5].map(async () => {
    for await (const _ of two.run(3, nobodyLeaves)) most = Math.max(most, two.running);
  });
  await turn();
  assert.equal(two.running, 2);
  assert.equal(two.waiting, 3);
  await Promise.all(runs);
  assert.equal(most, 2);
  assert.deepEqual([two.running, two.waiting], [0, 0]);
});

test("a pause with abort ends what runs and what waits, also when nobody reads it", async () => {
  const one = decoder(1);
  const unread = one.run(1000, nobodyLeaves);
  await unread.next();
  const waiting = collect(one.run(1000, nobodyLeaves));
  await one.pause("abort");
  assert.deepEqual(await waiting, { count: 0, end: "abort" });
  assert.deepEqual(await unread.next(), { done: true, value: "abort" });
  assert.equal(one.running, 0);
});

test("a pause with wait lets what runs end, and admits nobody", async () => {
  const one = decoder();
  const running = collect(one.run(20, nobodyLeaves));
  await turn();
  let isOver = false;
  const paused = one.pause("wait").then(() => {
    isOver = true;
    return true;
  });
  const late = collect(one.run(1, nobodyLeaves));
  assert.equal(isOver, false);
  assert.deepEqual(await running, { count: 20, end: undefined });
  assert.equal(await paused, true);
  assert.equal(one.waiting, 1);
  one.resume();
  assert.deepEqual(await late, { count: 1, end: undefined });
});

test("a pause with keep freezes what runs and goes on with it after the resume", async () => {
  const one = decoder();
  const run = one.run(6, nobodyLeaves);
  assert.deepEqual((await run.next()).value, 0);
  await one.pause("keep");
  let hasMoved = false;
  const next = run.next().then((value) => {
    hasMoved = true;
    return value;
  });
  for (let turns = 0; turns < 20; turns += 1) await turn();
  assert.equal(hasMoved, false);
  one.resume();
  assert.equal((await next).value, 1);
  assert.deepEqual(await collect(run), { count: 4, end: undefined });
});

test("a client that leaves frees its place at once, running or waiting", async () => {
  const one = decoder(1);
  const leaving = new AbortController();
  const first = collect(one.run(1_000_000, leaving.signal));
  const second = collect(one.run(1_000_000, leaving.signal));
  await turn();
  leaving.abort();
  await assert.rejects(first, ClientGoneError);
  await assert.rejects(second, ClientGoneError);
  assert.deepEqual([one.running, one.waiting], [0, 0]);
});

test("the engine's death ends everything, now and later", async () => {
  const one = decoder(1);
  const first = collect(one.run(1_000_000, nobodyLeaves));
  const second = collect(one.run(1, nobodyLeaves));
  await turn();
  one.fail();
  await assert.rejects(first, EngineDeadError);
  await assert.rejects(second, EngineDeadError);
  await assert.rejects(collect(one.run(1, nobodyLeaves)), EngineDeadError);
});
