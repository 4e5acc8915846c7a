import assert from "node:assert/strict";
import { test } from "node:test";
import { eventually, MockMachine } from "./started-mock.ts";

test("an engine answers, sleeps at level 1, wakes, and gives the same answer again", async () => {
  await using machine = new MockMachine();
  const mock = await machine.start();
  const before = await mock.ask();
  assert.equal(before.status, 200);
  assert.equal((await mock.post("/sleep?level=1")).status, 200);
  assert.deepEqual(await mock.get("/is_sleeping"), { is_sleeping: true });
  assert.equal((await mock.fetch("/health")).status, 200);
  assert.equal((await mock.post("/wake_up")).status, 200);
  assert.deepEqual(await mock.get("/is_sleeping"), { is_sleeping: false });
  assert.equal((await mock.ask()).text, before.text);
});

test("the sleep lines are in the log when /sleep answers", async () => {
  await using machine = new MockMachine();
  const mock = await machine.start();
  await mock.post("/sleep?level=1");
  const { log } = mock;
  assert.match(log, /Sleep mode freed 20\.60 GiB memory, 1\.00 GiB memory is still in use\./);
  assert.match(log, /It took \d+\.\d+ seconds to fall asleep\./);
  await mock.post("/wake_up");
  assert.match(mock.log, /It took \d+\.\d+ seconds to wake up tags \{'weights', 'kv_cache'\}\./);
});

test("a request for a sleeping engine waits until the wake", async () => {
  await using machine = new MockMachine();
  const mock = await machine.start();
  await mock.post("/sleep");
  let isAnswered = false;
  const answer = mock.ask().then((value) => {
    isAnswered = true;
    return value;
  });
  await eventually(
    "the request to wait",
    async () => (await mock.get<{ waiting: number }>("/mock/state")).waiting === 1,
  );
  assert.equal(isAnswered, false);
  await mock.post("/wake_up");
  assert.equal((await answer).status, 200);
});

test("after level 2 and a wake without a reload the engine says garbage, and after a reload and a reset what it said before", async () => {
  await using machine = new MockMachine();
  const mock = await machine.start();
  const before = await mock.ask();
  await mock.post("/sleep?level=2");
  await mock.post("/wake_up");
  const garbage = await mock.ask();
  assert.equal(garbage.status, 200);
  assert.notEqual(garbage.text, before.text);
  const reload = await mock.fetch("/collective_rpc", { json: { method: "reload_weights" } });
  assert.deepEqual(await reload.json(), { results: [null] });
  // What was computed from garbage is still in the prefix cache.
  assert.notEqual((await mock.ask()).text, before.text);
  assert.equal((await mock.post("/reset_prefix_cache")).text, '{"success":true}');
  assert.equal((await mock.ask()).text, before.text);
});

test("the safe order out of level 2 gives the same answer as before", async () => {
  await using machine = new MockMachine();
  const mock = await machine.start();
  const before = await mock.ask();
  await mock.post("/sleep?level=2");
  await mock.post("/wake_up?tags=weights");
  assert.deepEqual(await mock.get("/is_sleeping"), { is_sleeping: true });
  await mock.fetch("/collective_rpc", { json: { method: "reload_weights" } });
  await mock.post("/wake_up?tags=kv_cache");
  assert.deepEqual(await mock.get("/is_sleeping"), { is_sleeping: false });
  assert.equal((await mock.ask()).text, before.text);
});
