import assert from "node:assert/strict";
import { test } from "node:test";
import { processIdentity } from "./process-identity.ts";
import { eventually, MockMachine, refused } from "./started-mock.ts";

test("EngineCore outlives a SIGKILL of the API server and holds the GPU while the port is free", async () => {
  await using machine = new MockMachine();
  const mock = await machine.start();
  const { corePid } = mock;
  mock.child.kill("SIGKILL");
  await mock.exit;
  assert.equal(await refused(Number(new URL(mock.url).port)), true);
  assert.notEqual(processIdentity(corePid), undefined);
  const held = await machine.run(["nvidia-smi", "--query-compute-apps=pid", "--format=csv,noheader"]);
  assert.equal(held.out.trim(), String(corePid));
  mock.killGroup("SIGTERM");
  await eventually("the orphan to end", () => processIdentity(corePid) === undefined);
});

test("SIGTERM ends running work at once with 200 and finish_reason abort, and both processes with code 0", async () => {
  await using machine = new MockMachine();
  const mock = await machine.start({ env: { MOCK_VLLM_ITL_MS: "20" } });
  const answer = mock.ask({ max_tokens: 10_000, ignore_eos: true });
  await eventually(
    "the request to run",
    async () => (await mock.get<{ running: number }>("/mock/state")).running === 1,
  );
  mock.child.kill("SIGTERM");
  const { status, reason } = await answer;
  assert.deepEqual([status, reason], [200, "abort"]);
  assert.deepEqual(await mock.exit, { code: 0, signal: null });
  await eventually("EngineCore to end", () => processIdentity(mock.corePid) === undefined);
});

test("SIGTERM ends what waits for a sleeping engine: whole with finish_reason abort, a stream with its role and no reason", async () => {
  await using machine = new MockMachine();
  const mock = await machine.start();
  await mock.post("/sleep");
  const whole = mock.ask();
  const messages = [{ role: "user", content: "hi" }];
  const stream = await mock.fetch("/v1/chat/completions", { json: { messages, stream: true } });
  const completion = await mock.fetch("/v1/completions", { json: { prompt: "hi", stream: true } });
  await mock.untilWaiting(3);
  mock.killGroup("SIGTERM");
  const { status, reason, text } = await whole;
  assert.deepEqual([status, reason, text], [200, "abort", ""]);
  assert.match(
    await stream.text(),
    /^data: \{[^\n]*"delta":\{"role":"assistant","content":""\},[^\n]*"finish_reason":null[^\n]*\n\ndata: \[DONE\]\n\n$/,
  );
  assert.equal(await completion.text(), "data: [DONE]\n\n");
  assert.deepEqual(await mock.exit, { code: 0, signal: null });
  assert.match(mock.log, /\[shutdown\] API server: shutdown triggered/);
});

test("a signal to the whole group ends both as well", async () => {
  await using machine = new MockMachine();
  const mock = await machine.start();
  mock.killGroup("SIGTERM");
  assert.deepEqual(await mock.exit, { code: 0, signal: null });
  await eventually("EngineCore to end", () => processIdentity(mock.corePid) === undefined);
});

test("with --shutdown-timeout running work ends by itself, also when the whole group is signalled", async () => {
  await using machine = new MockMachine();
  const mock = await machine.start({ args: ["--shutdown-timeout", "20"], env: { MOCK_VLLM_ITL_MS: "20" } });
  const answer = mock.ask({ max_tokens: 20, ignore_eos: true });
  await eventually(
    "the request to run",
    async () => (await mock.get<{ running: number }>("/mock/state")).running === 1,
  );
  mock.killGroup("SIGTERM");
  const { status, reason } = await answer;
  assert.deepEqual([status, reason], [200, "length"]);
  assert.equal((await mock.exit).code, 0);
});

test("when EngineCore dies, health is 503 for a moment, then connections are refused, and the process ends with code 0 at last", async () => {
  await using machine = new MockMachine();
  // A start that takes no time and an end that takes 2.2 s.
  const mock = await machine.start({ env: { MOCK_VLLM_TIME_SCALE: "1", MOCK_VLLM_LOAD_MS: "0" } });
  const port = Number(new URL(mock.url).port);
  process.kill(mock.corePid, "SIGKILL");
  await eventually("health to fail", async () => {
    const status = await mock.fetch("/health").then(
      (answer) => answer.status,
      () => "refused",
    );
    return status !== 200;
  });
  await eventually("connections to be refused", () => refused(port));
  assert.equal(mock.child.exitCode, null);
  assert.deepEqual(await mock.exit, { code: 0, signal: null });
});

test("when EngineCore dies requests get 500 with vLLM's words, and health 503", async () => {
  await using machine = new MockMachine();
  const mock = await machine.start({ env: { MOCK_VLLM_DEAD_MS: "1500", MOCK_VLLM_ITL_MS: "20" } });
  const running = mock.ask({ max_tokens: 10_000, ignore_eos: true });
  await eventually(
    "the request to run",
    async () => (await mock.get<{ running: number }>("/mock/state")).running === 1,
  );
  process.kill(mock.corePid, "SIGKILL");
  assert.equal((await running).status, 500);
  assert.equal((await mock.fetch("/health")).status, 503);
  const late = await mock.ask();
  assert.equal(late.status, 500);
  assert.deepEqual(JSON.parse(late.text), {
    error: {
      message: "EngineCore encountered an issue. See stack trace (above) for the root cause.",
      type: "InternalServerError",
      param: null,
      code: 500,
    },
  });
  const anthropic = await mock.fetch("/v1/messages", {
    json: { model: "test/model-1B", messages: [{ role: "user", content: "hi" }], max_tokens: 5 },
  });
  assert.equal(anthropic.status, 500);
  assert.match(
    await anthropic.text(),
    /^\{"type":"error","error":\{"type":"InternalServerError","message":"EngineCore /,
  );
  assert.equal((await mock.fetch("/is_sleeping")).status, 500);
  assert.deepEqual(await mock.exit, { code: 0, signal: null });
});

test("a stream that loses its engine ends with an error chunk and [DONE]", async () => {
  await using machine = new MockMachine();
  const mock = await machine.start({ env: { MOCK_VLLM_ITL_MS: "20" } });
  const messages = [{ role: "user", content: "hi" }];
  const answer = await mock.fetch("/v1/chat/completions", {
    json: { messages, stream: true, max_tokens: 5000, ignore_eos: true },
  });
  process.kill(mock.corePid, "SIGKILL");
  assert.match(
    await answer.text(),
    /data: \{"error": \{"message": "EngineCore encountered an issue\. See stack trace \(above\) for the root cause\.", "type": "InternalServerError", "param": null, "code": 500\}\}\n\ndata: \[DONE\]\n\n$/,
  );
});

test("a stream of Anthropic's that loses its engine ends with an error event", async () => {
  await using machine = new MockMachine();
  const mock = await machine.start({ env: { MOCK_VLLM_ITL_MS: "20" } });
  const messages = [{ role: "user", content: "hi" }];
  const answer = await mock.fetch("/v1/messages", {
    json: { model: "test/model-1B", messages, stream: true, max_tokens: 5000 },
  });
  process.kill(mock.corePid, "SIGKILL");
  assert.match(
    await answer.text(),
    /\n\nevent: error\ndata: \{"type":"error","error":\{"type":"internal_error","message":"2 validation errors for ChatCompletionStreamResponse[^\n]*\n\n$/,
  );
});
