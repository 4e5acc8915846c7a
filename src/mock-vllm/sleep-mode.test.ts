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
  assert.match(
    log,
    /sleep freed 20\.60 GiB memory in total, of which 1\.86 GiB is backed up in CPU and the rest 18\.74 GiB is discarded directly\./,
  );
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
  await mock.untilWaiting(1);
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

test("sleeping twice and waking twice are no-ops, and level 1 is not deepened to level 2", async () => {
  await using machine = new MockMachine();
  const mock = await machine.start();
  const before = await mock.ask();
  await mock.post("/sleep?level=1");
  assert.equal((await mock.post("/sleep?level=2")).status, 200);
  assert.equal((await mock.get<{ weights: string }>("/mock/state")).weights, "in host memory");
  await mock.post("/wake_up");
  assert.equal((await mock.post("/wake_up")).status, 200);
  assert.match(mock.log, /Executor is already sleeping\./);
  assert.match(mock.log, /Executor is not sleeping\./);
  assert.equal((await mock.ask()).text, before.text);
});

test("level and mode come from the query string, and a body is ignored", async () => {
  await using machine = new MockMachine();
  const mock = await machine.start();
  assert.equal((await mock.fetch("/sleep", { json: { level: 2 } })).status, 200);
  assert.equal((await mock.get<{ level: number }>("/mock/state")).level, 1);
  await mock.post("/wake_up");
  assert.equal((await mock.post("/sleep?level=%201&level=2.0&other=3")).text, '{"status":"sleeping","level":2}');
  assert.equal((await mock.get<{ level: number }>("/mock/state")).level, 2);
});

test("mode=abort ends running and waiting requests with 200, truncated text and finish_reason abort", async () => {
  await using machine = new MockMachine();
  const mock = await machine.start({
    args: ["--enable-sleep-mode", "--max-num-seqs", "1"],
    env: { MOCK_VLLM_ITL_MS: "20" },
  });
  const answers = [1, 2].map(() => mock.ask({ max_tokens: 10_000, ignore_eos: true }));
  await eventually("one to run and one to wait", async () => {
    const state = await mock.get<{ running: number; waiting: number }>("/mock/state");
    return state.running === 1 && state.waiting === 1;
  });
  assert.equal((await mock.post("/sleep?level=1")).status, 200);
  for (const { status, reason } of await Promise.all(answers)) assert.deepEqual([status, reason], [200, "abort"]);
});

test("mode=wait lets running requests end before it sleeps", async () => {
  await using machine = new MockMachine();
  const mock = await machine.start({ env: { MOCK_VLLM_ITL_MS: "20" } });
  const answer = mock.ask({ max_tokens: 20, ignore_eos: true });
  await eventually(
    "the request to run",
    async () => (await mock.get<{ running: number }>("/mock/state")).running === 1,
  );
  assert.equal((await mock.post("/sleep?level=1&mode=wait")).status, 200);
  const { reason, text } = await answer;
  assert.deepEqual([reason, text.split(" ").length], ["length", 20]);
});

test("mode=keep freezes a stream, which goes on after the wake on the same connection", async () => {
  await using machine = new MockMachine();
  const mock = await machine.start({ env: { MOCK_VLLM_ITL_MS: "20" } });
  const whole = await mock.ask({ max_tokens: 25, ignore_eos: true });
  const answer = mock.ask({ max_tokens: 25, ignore_eos: true });
  await eventually(
    "the request to run",
    async () => (await mock.get<{ running: number }>("/mock/state")).running === 1,
  );
  assert.equal((await mock.post("/sleep?level=1&mode=keep")).status, 200);
  assert.equal((await mock.get<{ running: number }>("/mock/state")).running, 1);
  await mock.post("/wake_up");
  assert.deepEqual(await answer, whole);
});

test("a pause is reported as sleep too, holds requests, and ends with resume", async () => {
  await using machine = new MockMachine();
  const mock = await machine.start();
  assert.equal((await mock.post("/pause")).status, 200);
  assert.deepEqual(await mock.get("/is_sleeping"), { is_sleeping: true });
  assert.deepEqual(await mock.get("/is_paused"), { is_paused: true });
  const answer = mock.ask();
  await mock.untilWaiting(1);
  assert.equal((await mock.post("/resume")).status, 200);
  assert.equal((await answer).status, 200);
  assert.deepEqual(await mock.get("/is_paused"), { is_paused: false });
});

test("a client that leaves while the engine sleeps leaves the queue", async () => {
  await using machine = new MockMachine();
  const mock = await machine.start();
  await mock.post("/sleep");
  const leaving = new AbortController();
  const answer = mock.fetch("/v1/chat/completions", {
    json: { messages: [{ role: "user", content: "hi" }] },
    signal: leaving.signal,
  });
  await mock.untilWaiting(1);
  leaving.abort();
  await assert.rejects(answer);
  await mock.untilWaiting(0);
});

test("without --enable-sleep-mode a sleep answers 200, is reported, and frees nothing", async () => {
  await using machine = new MockMachine();
  const mock = await machine.start({ args: [] });
  assert.equal((await mock.post("/sleep?level=1")).status, 200);
  assert.deepEqual(await mock.get("/is_sleeping"), { is_sleeping: true });
  assert.ok(!mock.log.includes("freed"));
  const memory = await machine.run(["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits"]);
  assert.equal(memory.out.trim(), "22118");
  await mock.post("/wake_up");
  assert.equal((await mock.ask()).status, 200);
});

test("a reload while the weights are not on the GPU is an illegal access and ends the engine", async () => {
  await using machine = new MockMachine();
  const mock = await machine.start();
  await mock.post("/sleep?level=2");
  assert.equal((await mock.fetch("/collective_rpc", { json: { method: "reload_weights" } })).status, 500);
  assert.match(mock.log, /illegal memory access/);
  assert.equal((await mock.exit).code, 0);
});

test("waking a tag that is awake already changes nothing", async () => {
  await using machine = new MockMachine();
  const mock = await machine.start();
  await mock.post("/sleep?level=1");
  await mock.post("/wake_up?tags=weights");
  assert.equal((await mock.post("/wake_up?tags=weights")).status, 200);
  assert.match(mock.log, /Tag weights is not in sleeping tags \{'kv_cache'\}/);
  assert.equal((await mock.post("/wake_up?tags=kv_cache")).status, 200);
  assert.deepEqual(await mock.get("/is_sleeping"), { is_sleeping: false });
});

test("version 0.13 dies when a request meets its sleep", async () => {
  await using machine = new MockMachine({ MOCK_VLLM_VERSION: "0.13.0" });
  const mock = await machine.start();
  await mock.post("/sleep");
  assert.equal((await mock.ask()).status, 500);
  assert.equal((await mock.exit).code, 0);
  assert.match(mock.log, /CUDA error: an illegal memory access was encountered/);
});

test("version 0.13 sleeps and wakes well if it is left alone meanwhile", async () => {
  await using machine = new MockMachine({ MOCK_VLLM_VERSION: "0.13.0" });
  const mock = await machine.start();
  const before = await mock.ask();
  await mock.post("/sleep");
  await mock.post("/wake_up");
  assert.equal((await mock.post("/reset_prefix_cache")).text, "");
  assert.equal((await mock.ask()).text, before.text);
});

test("versions 0.14 and 0.15 answer 200 to a sleep and free nothing", async () => {
  await using machine = new MockMachine({ MOCK_VLLM_VERSION: "0.15.1" });
  const mock = await machine.start();
  assert.equal((await mock.post("/sleep")).status, 200);
  assert.match(mock.log, /Sleep mode freed 0\.00 GiB memory/);
});

test("before 0.25 a partial wake lets requests in too early, and the engine dies of them", async () => {
  await using machine = new MockMachine({ MOCK_VLLM_VERSION: "0.20.0" });
  const mock = await machine.start();
  await mock.post("/sleep?level=2");
  await mock.post("/wake_up?tags=weights");
  assert.equal((await mock.ask()).status, 500);
  assert.equal((await mock.exit).code, 0);
});
