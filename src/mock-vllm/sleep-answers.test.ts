import assert from "node:assert/strict";
import { test } from "node:test";
import { MockMachine } from "./started-mock.ts";

test("up to 0.28 the sleep state in the metrics is right after a full sleep and wrong after a partial wake", async () => {
  await using machine = new MockMachine({ MOCK_VLLM_VERSION: "0.28.0" });
  const mock = await machine.start();
  const awake = async (): Promise<string | undefined> =>
    /sleep_state="awake"\} (\d)/.exec(await (await mock.fetch("/metrics")).text())?.[1];
  await mock.post("/sleep?level=2");
  assert.equal(await awake(), "0");
  await mock.post("/wake_up?tags=weights");
  assert.equal(await awake(), "1");
});

test("the sleep state in the metrics is the level last asked for, until all is awake", async () => {
  await using machine = new MockMachine();
  const mock = await machine.start();
  const states = async (): Promise<readonly (string | undefined)[]> => {
    const page = await (await mock.fetch("/metrics")).text();
    return ["awake", "weights_offloaded", "discard_all"].map(
      (state) => new RegExp(`^vllm:engine_sleep_state\\{.*sleep_state="${state}"\\} (\\d)$`, "m").exec(page)?.[1],
    );
  };
  const after = async (target: string): Promise<readonly (string | undefined)[]> => {
    assert.equal((await mock.post(target)).status, 200);
    return states();
  };
  assert.deepEqual(await states(), ["1", "0", "0"]);
  assert.deepEqual(await after("/sleep?level=0"), ["0", "0", "0"]);
  assert.deepEqual(await after("/wake_up?tags=scheduling"), ["1", "0", "0"]);
  assert.deepEqual(await after("/sleep?level=1"), ["0", "1", "0"]);
  assert.deepEqual(await after("/sleep?level=2"), ["0", "0", "1"]);
  assert.deepEqual(await after("/wake_up?tags=weights"), ["0", "0", "1"]);
  assert.deepEqual(await after("/wake_up?tags=kv_cache"), ["1", "0", "0"]);
  const page = await (await mock.fetch("/metrics")).text();
  assert.match(page, /^vllm:sleep_mode_operation_duration_seconds_count\{operation="sleep"\} 3$/m);
  assert.match(page, /^vllm:sleep_mode_operation_duration_seconds_count\{operation="wake"\} 3$/m);
  assert.match(page, /^vllm:sleep_mode_operations_in_flight\{operation="wake"\} 0$/m);
});

test("sleep and wake answer with how the engine stands, up to 0.28 with nothing", async () => {
  await using machine = new MockMachine({ MOCK_VLLM_GPUS: "0:24GiB,1:24GiB" });
  const mock = await machine.start();
  const said = async (target: string): Promise<unknown> => JSON.parse((await mock.post(target)).text);
  assert.deepEqual(await said("/wake_up?tags=bogus"), { status: "awake", tags: ["bogus"] });
  assert.deepEqual(await said("/sleep"), { status: "sleeping", level: 1 });
  assert.deepEqual(await said("/sleep?level=2"), { status: "sleeping", level: 2 });
  assert.deepEqual(await said("/wake_up?tags=bogus"), { status: "sleeping", tags: ["bogus"] });
  assert.deepEqual(await said("/wake_up?tags=scheduling"), { status: "sleeping", tags: ["scheduling"] });
  assert.deepEqual(await said("/wake_up?tags=weights"), { status: "sleeping", tags: ["weights"] });
  assert.deepEqual(await said("/wake_up?tags=kv_cache"), { status: "awake", tags: ["kv_cache"] });
  assert.deepEqual(await said("/wake_up"), { status: "awake", tags: null });
  const old = await machine.start({ env: { MOCK_VLLM_VERSION: "0.28.0", CUDA_VISIBLE_DEVICES: "1" } });
  assert.deepEqual(await old.post("/sleep"), { status: 200, text: "" });
  assert.deepEqual(await old.post("/wake_up"), { status: 200, text: "" });
  assert.equal((await old.post("/sleep?mode=gently")).status, 500);
  assert.equal((await old.post("/sleep?level=7")).status, 400);
});

test("level 0 pauses the scheduling, moves no memory, and is ended by the tag scheduling or by a full wake", async () => {
  await using machine = new MockMachine();
  const mock = await machine.start();
  for (const wake of ["/wake_up?tags=scheduling", "/wake_up"]) {
    assert.equal((await mock.post("/sleep?level=0")).text, '{"status":"sleeping","level":0}');
    assert.deepEqual(await mock.get("/is_sleeping"), { is_sleeping: true });
    assert.deepEqual(await mock.get("/is_paused"), { is_paused: true });
    const answer = mock.ask();
    await mock.untilWaiting(1);
    assert.equal((await mock.post(wake)).status, 200);
    assert.equal((await answer).status, 200);
    assert.deepEqual(await mock.get("/is_sleeping"), { is_sleeping: false });
  }
  assert.doesNotMatch(mock.log, /fall asleep|Sleep mode freed/);
});

test("the KV cache may be woken before the weights, and requests wait for both", async () => {
  await using machine = new MockMachine();
  const mock = await machine.start();
  const before = await mock.ask();
  await mock.post("/sleep?level=1");
  const answer = mock.ask();
  assert.equal((await mock.post("/wake_up?tags=kv_cache")).text, '{"status":"sleeping","tags":["kv_cache"]}');
  assert.deepEqual(await mock.get("/is_sleeping"), { is_sleeping: true });
  await mock.untilWaiting(1);
  assert.equal((await mock.post("/wake_up?tags=weights")).text, '{"status":"awake","tags":["weights"]}');
  assert.deepEqual(await answer, before);
});

test("the line of a wake lists the tags that were asked for, and shows a set of all of them if none was", async () => {
  await using machine = new MockMachine();
  const mock = await machine.start();
  await mock.post("/sleep");
  await mock.post("/wake_up?tags=weights");
  await mock.post("/wake_up?tags=kv_cache");
  assert.match(mock.log, /wake up the engine with tags: \['weights'\]\n/);
  assert.match(mock.log, /It took [\d.]+ seconds to wake up tags \['weights'\]\.\n/);
  await mock.post("/sleep");
  await mock.post("/wake_up?tags=weights&tags=kv_cache");
  assert.match(mock.log, /to wake up tags \['weights', 'kv_cache'\]\./);
  await mock.post("/sleep");
  await mock.post("/wake_up");
  assert.match(mock.log, /wake up the engine with tags: None\n/);
  assert.match(mock.log, /to wake up tags \{'weights', 'kv_cache'\}\./);
});

test("an engine whose weights alone are awake falls asleep again, and one whose weights sleep does not", async () => {
  await using machine = new MockMachine();
  const mock = await machine.start();
  await mock.post("/sleep");
  await mock.post("/wake_up?tags=weights");
  await mock.post("/sleep");
  assert.equal(mock.log.match(/to fall asleep/g)?.length, 2);
  assert.doesNotMatch(mock.log, /already sleeping/);
  await mock.post("/wake_up?tags=kv_cache");
  await mock.post("/sleep");
  assert.match(mock.log, /Executor is already sleeping\./);
  await mock.post("/wake_up");
  assert.equal((await mock.ask()).status, 200);
});

test("a second sleep with mode=abort ends the requests that wait for the wake", async () => {
  await using machine = new MockMachine();
  const mock = await machine.start();
  await mock.post("/sleep");
  const answer = mock.ask();
  await mock.untilWaiting(1);
  await mock.post("/sleep");
  const { status, reason, text } = await answer;
  assert.deepEqual([status, reason, text], [200, "abort", ""]);
});

test("a stream asked of a sleeping engine has its headers at once, and its first chunk after the wake", async () => {
  await using machine = new MockMachine();
  const mock = await machine.start();
  const messages = [{ role: "user", content: "hi" }];
  const wishes = {
    "/v1/chat/completions": { messages, stream: true },
    "/v1/messages": { model: "test/model-1B", messages, max_tokens: 5, stream: true },
  };
  for (const [target, json] of Object.entries(wishes)) {
    await mock.post("/sleep");
    // Resolves with the headers.
    const answer = await mock.fetch(target, { json });
    assert.equal(answer.status, 200);
    let hasChunk = false;
    const text = answer.text().then((all) => {
      hasChunk = true;
      return all;
    });
    for (let looks = 0; looks < 10; looks += 1) await mock.fetch("/health");
    assert.equal(hasChunk, false);
    const events = await mock.get<{ event: string; path: string }[]>("/mock/events");
    assert.ok(events.some(({ event, path }) => event === "first byte sent" && path === target));
    await mock.post("/wake_up");
    assert.match(await text, /^(event: message_start\n)?data: .*"role":"assistant"/);
  }
});
