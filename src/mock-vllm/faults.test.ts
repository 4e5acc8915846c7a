import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { Faults, parseFaults, readFaults } from "./faults.ts";
import { processIdentity } from "./process-identity.ts";
import { eventually, MockMachine } from "./started-mock.ts";
import type { StartedMock } from "./started-mock.ts";

const stream = { messages: [{ role: "user", content: "hi" }], stream: true, max_tokens: 20, ignore_eos: true };

/** Fails unless `promise` is still unanswered after everything else that was asked has been answered. */
async function hangs(mock: StartedMock, promise: Promise<unknown>): Promise<void> {
  let isAnswered = false;
  const note = (): void => {
    isAnswered = true;
  };
  promise.then(note, note);
  for (let looks = 0; looks < 20; looks += 1) assert.equal((await mock.fetch("/health")).status, 200);
  assert.equal(isAnswered, false);
}

async function chunks(answer: Response): Promise<{ tokens: number; error: string; text: string }> {
  let text = "";
  let error = "";
  try {
    const decoder = new TextDecoder();
    for await (const chunk of answer.body ?? []) text += decoder.decode(chunk as Uint8Array, { stream: true });
  } catch (cause) {
    error = String(cause);
  }
  return { tokens: text.split('"token_ids":null').length - 1, error, text };
}

test("faults are read from text and from JSON", () => {
  assert.deepEqual(
    [...parseFaults("sleep-error*1, leak=64MiB,exit-at-start=3:no such model*2")],
    [
      ["sleep-error", { times: 1, value: "" }],
      ["leak", { times: null, value: "64MiB" }],
      ["exit-at-start", { times: 2, value: "3:no such model" }],
    ],
  );
  assert.throws(() => parseFaults("sleep-eror"), /expected one of .*sleep-error.* found "sleep-eror"/);
  assert.throws(() => readFaults({ leak: { times: 1.5 } }), /leak: expected true, false, or/);
  assert.throws(() => readFaults([]), /expected an object/);
});

test("a fault strikes as often as ordered, and no more", () => {
  const faults = new Faults(parseFaults("wake-oom*2,leak=1"));
  assert.deepEqual([faults.take("wake-oom"), faults.take("wake-oom"), faults.take("wake-oom")], ["", "", undefined]);
  assert.deepEqual([faults.take("leak"), faults.take("leak")], ["1", "1"]);
  faults.order(readFaults({ leak: false }));
  assert.equal(faults.take("leak"), undefined);
});

test("a fault of the faults file strikes across restarts only as often as the file says", async () => {
  await using machine = new MockMachine();
  const file = path.join(machine.dir, "faults.json");
  writeFileSync(
    file,
    JSON.stringify({ "exit-at-start": { times: 1, value: "4:first start fails" }, "wake-oom": { times: 1 } }),
  );
  const env = { MOCK_VLLM_FAULTS_FILE: file };
  const first = await machine.start({ env, ready: false });
  assert.deepEqual(await first.exit, { code: 4, signal: null });
  assert.match(first.log, /first start fails/);
  const second = await machine.start({ env });
  await second.post("/sleep");
  assert.equal((await second.post("/wake_up")).status, 500);
  assert.equal((await second.post("/wake_up")).status, 200);
  assert.deepEqual(JSON.parse(readFileSync(file, "utf8")), {});
});

test("faults are shown, ordered and called off while running", async () => {
  await using machine = new MockMachine({ MOCK_VLLM_FAULTS: "slow-health=1" });
  const mock = await machine.start();
  await mock.fault({ "wake-oom": { times: 1 }, "slow-health": false });
  assert.deepEqual(await mock.get("/mock/faults"), { ordered: { "wake-oom": { times: 1, value: "" } }, file: {} });
  await mock.fetch("/mock/faults", { method: "DELETE" });
  assert.deepEqual(await mock.get("/mock/faults"), { ordered: {}, file: {} });
  const wrong = await mock.fetch("/mock/faults", { json: { "no-such": true } });
  assert.equal(wrong.status, 400);
  assert.match(await wrong.text(), /found \\"no-such\\"/);
});

test("a start can be made to never end", async () => {
  await using machine = new MockMachine();
  const mock = await machine.start({ args: ["--mock-faults", "never-ready"], ready: false });
  await eventually("the load", () => mock.log.includes("Starting to load model"));
  mock.child.kill("SIGTERM");
  assert.equal((await mock.exit).code, 0);
  assert.ok(!mock.log.includes("Application startup complete."));
});

test("health can be slow, and unhealthy", async () => {
  await using machine = new MockMachine();
  const mock = await machine.start();
  await mock.fault({ "slow-health": { times: 1, value: 300 } });
  const startedAt = performance.now();
  await mock.fetch("/health");
  assert.ok(performance.now() - startedAt >= 290);
  await mock.fault({ "health-error": true });
  assert.equal((await mock.fetch("/health")).status, 503);
});

test("a sleep can fail once and free nothing, and the next one works", async () => {
  await using machine = new MockMachine();
  const mock = await machine.start();
  await mock.fault({ "sleep-error": { times: 1 } });
  assert.equal((await mock.post("/sleep")).status, 500);
  assert.ok(!mock.log.includes("Sleep mode freed"));
  assert.equal((await mock.post("/sleep")).status, 200);
  assert.match(mock.log, /Sleep mode freed 20\.60 GiB/);
});

test("a sleep can hang before or after the memory is freed, and all questions about it hang behind it", async () => {
  await using machine = new MockMachine();
  for (const [value, used] of [
    ["", "22118"],
    ["after", "1024"],
  ] as const) {
    const mock = await machine.start();
    await mock.fault({ "sleep-hang": { times: 1, value } });
    const asleep = mock.post("/sleep");
    if (value === "after") await eventually("the sleep lines", () => mock.log.includes("to fall asleep"));
    await hangs(mock, Promise.race([asleep, mock.get("/is_sleeping")]));
    const memory = await machine.run(["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits"]);
    assert.equal(memory.out.trim(), used);
    mock.killGroup();
    await assert.rejects(asleep);
    await mock.exit;
  }
});

test("a sleep can answer 200 and free nothing", async () => {
  await using machine = new MockMachine();
  const mock = await machine.start();
  await mock.fault({ "sleep-frees-nothing": true });
  assert.equal((await mock.post("/sleep")).status, 200);
  assert.deepEqual(await mock.get("/is_sleeping"), { is_sleeping: true });
  assert.match(mock.log, /Sleep mode freed 0\.00 GiB memory, 21\.60 GiB memory is still in use\./);
});

test("a wake can fail with out of memory, or otherwise, and stays asleep", async () => {
  await using machine = new MockMachine();
  const mock = await machine.start();
  await mock.post("/sleep");
  await mock.fault({ "wake-oom": { times: 1 }, "wake-error": { times: 1 } });
  assert.match((await mock.post("/wake_up")).text, /mock fault: wake-error/);
  assert.match((await mock.post("/wake_up")).text, /CUDA Error: out of memory at /);
  assert.deepEqual(await mock.get("/is_sleeping"), { is_sleeping: true });
  assert.equal((await mock.post("/wake_up")).status, 200);
});

test("a wake can hang", async () => {
  await using machine = new MockMachine();
  const mock = await machine.start();
  await mock.post("/sleep");
  await mock.fault({ "wake-hang": { times: 1 } });
  const awake = mock.post("/wake_up");
  await hangs(mock, awake);
  mock.killGroup();
  await assert.rejects(awake);
});

test("a wake can corrupt the weights, and a reload repairs them", async () => {
  await using machine = new MockMachine();
  const mock = await machine.start();
  const before = await mock.ask();
  await mock.post("/sleep");
  await mock.fault({ "corrupt-after-wake": { times: 1 } });
  assert.equal((await mock.post("/wake_up")).status, 200);
  assert.notEqual((await mock.ask()).text, before.text);
  await mock.fetch("/collective_rpc", { json: { method: "reload_weights" } });
  await mock.post("/reset_prefix_cache");
  assert.equal((await mock.ask()).text, before.text);
});

test("a reload and a cache reset can fail", async () => {
  await using machine = new MockMachine();
  const mock = await machine.start();
  await mock.fault({ "reload-error": { times: 1 }, "reset-cache-error": { times: 1 } });
  assert.equal((await mock.fetch("/collective_rpc", { json: { method: "reload_weights" } })).status, 500);
  assert.equal((await mock.post("/reset_prefix_cache")).status, 500);
});

test("memory can leak with every sleep", async () => {
  await using machine = new MockMachine();
  const mock = await machine.start({ args: ["--enable-sleep-mode", "--gpu-memory-utilization", "0.8"] });
  await mock.fault({ leak: { value: "512MiB" } });
  const used: string[] = [];
  for (let cycle = 0; cycle < 3; cycle += 1) {
    await mock.post("/sleep");
    used.push(/memory, ([\d.]+) GiB memory is still in use\.\n(?![\s\S]*still in use)/.exec(mock.log)?.[1] ?? "");
    assert.equal((await mock.post("/wake_up")).status, 200);
  }
  assert.deepEqual(used, ["1.50", "2.00", "2.50"]);
});

test("EngineCore can be killed by a sleep and by a wake", async () => {
  await using machine = new MockMachine();
  for (const name of ["crash-engine-on-sleep", "crash-engine-on-wake"]) {
    const mock = await machine.start();
    await mock.fault({ [name]: true });
    const statuses = [(await mock.post("/sleep")).status];
    if (name === "crash-engine-on-wake") statuses.push((await mock.post("/wake_up")).status);
    assert.equal(statuses.at(-1), 500);
    assert.equal((await mock.exit).code, 0);
  }
});

test("EngineCore can be killed after some chunks of a stream, which then ends with an error", async () => {
  await using machine = new MockMachine();
  const mock = await machine.start();
  await mock.fault({ "crash-engine-after-chunks": { times: 1, value: 3 } });
  const { tokens, text } = await chunks(await mock.fetch("/v1/chat/completions", { json: stream }));
  assert.equal(tokens, 3);
  assert.match(text, /data: \{"error":/);
  assert.equal((await mock.exit).code, 0);
});

test("the API server can be killed after some chunks of a stream, which breaks off, while EngineCore stays", async () => {
  await using machine = new MockMachine();
  const mock = await machine.start();
  await mock.fault({ "crash-api-after-chunks": { times: 1, value: 3 } });
  const { tokens, text, error } = await chunks(await mock.fetch("/v1/chat/completions", { json: stream }));
  assert.equal(tokens, 3);
  assert.ok(error !== "" && !text.includes("[DONE]"));
  assert.equal((await mock.exit).signal, "SIGKILL");
  assert.notEqual(processIdentity(mock.corePid), undefined);
});

test("either process can be killed by the next request", async () => {
  await using machine = new MockMachine({ MOCK_VLLM_GPUS: "0:24GiB" });
  const first = await machine.start();
  await first.fault({ "crash-engine-on-request": true });
  assert.equal((await first.ask()).status, 500);
  assert.equal((await first.exit).code, 0);
  const second = await machine.start();
  await second.fault({ "crash-api-on-request": true });
  await assert.rejects(second.ask());
  assert.equal((await second.exit).signal, "SIGKILL");
});

test("a request can be answered with an error of choice", async () => {
  await using machine = new MockMachine();
  const mock = await machine.start();
  await mock.fault({ "request-error": { times: 1, value: 503 } });
  assert.equal((await mock.ask()).status, 503);
  assert.equal((await mock.ask()).status, 200);
});

test("a stream can stall, and its client's leaving is noticed", async () => {
  await using machine = new MockMachine();
  const mock = await machine.start();
  await mock.fault({ "stream-stall": { times: 1, value: 2 } });
  const leaving = new AbortController();
  const answer = await mock.fetch("/v1/chat/completions", { json: stream, signal: leaving.signal });
  const reading = chunks(answer);
  await hangs(mock, reading);
  leaving.abort();
  assert.equal((await reading).tokens, 2);
  await eventually("the request to end", async () => {
    const { requests } = await mock.get<{ requests: { outcome: string }[] }>("/mock/requests");
    return requests[0]?.outcome === "client gone";
  });
});

test("SIGTERM can be ignored by both processes", async () => {
  await using machine = new MockMachine();
  const mock = await machine.start({ args: ["--mock-faults", "ignore-sigterm"] });
  mock.killGroup("SIGTERM");
  assert.equal((await mock.ask()).status, 200);
  assert.notEqual(processIdentity(mock.corePid), undefined);
});

test("it can stop reading for a while", async () => {
  await using machine = new MockMachine();
  const mock = await machine.start();
  await mock.fault({ "stop-reading": { times: 1, value: 700 } });
  const startedAt = performance.now();
  assert.equal((await mock.fetch("/health")).status, 200);
  assert.ok(performance.now() - startedAt > 400);
});
