import assert from "node:assert/strict";
import { test } from "node:test";
import { MockMachine } from "../started-mock.ts";

test("the development routes are 404 without VLLM_SERVER_DEV_MODE=1, with sleep mode enabled or not", async () => {
  await using machine = new MockMachine({ VLLM_SERVER_DEV_MODE: "" });
  const mock = await machine.start();
  for (const target of ["/sleep", "/wake_up", "/pause", "/resume", "/collective_rpc", "/reset_prefix_cache"]) {
    const { status, text } = await mock.post(target);
    assert.deepEqual([target, status, text], [target, 404, '{"detail":"Not Found"}']);
  }
  assert.equal((await mock.fetch("/is_sleeping")).status, 404);
  assert.equal((await mock.fetch("/is_paused")).status, 404);
  assert.equal((await mock.ask()).status, 200);
});

test("an API key guards /v1, /v2, /inference and /cohere, and nothing else", async () => {
  await using machine = new MockMachine();
  const mock = await machine.start({ args: ["--api-key", "secret", "--enable-sleep-mode"] });
  for (const target of [
    "/v1/models",
    "/v1/chat/completions",
    "/v2/rerank",
    "/inference/v1/generate",
    "/cohere/v2/embed",
  ]) {
    const answer = await mock.fetch(target);
    assert.equal(answer.status, 401, target);
    assert.deepEqual(await answer.json(), { error: "Unauthorized" });
  }
  const wrong = await mock.fetch("/v1/models", { headers: { authorization: "Bearer guess" } });
  assert.equal(wrong.status, 401);
  const right = await mock.fetch("/v1/models", { headers: { authorization: "Bearer secret" } });
  assert.equal(right.status, 200);
  for (const target of ["/health", "/metrics", "/version", "/is_sleeping", "/load"]) {
    assert.equal((await mock.fetch(target)).status, 200, target);
  }
  assert.equal((await mock.fetch("/tokenize", { json: { prompt: "a" } })).status, 200);
  assert.equal((await mock.post("/sleep")).status, 200);
});
