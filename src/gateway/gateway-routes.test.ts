import assert from "node:assert/strict";
import { test } from "node:test";
import { createKey, hashOfKey } from "../base/api-key.ts";
import { ask, chat, json, RawClient } from "./testing/client.ts";
import { createStage, MODELS, until } from "./testing/stage.ts";

const JSON_PATHS = [
  "/v1/chat/completions",
  "/v1/completions",
  "/v1/responses",
  "/v1/messages",
  "/v1/messages/count_tokens",
  "/v1/embeddings",
  "/v1/audio/speech",
  "/v1/images/generations",
  "/v1/images/edits",
  "/tokenize",
  "/detokenize",
  "/pooling",
  "/classify",
  "/score",
  "/v1/score",
  "/rerank",
  "/v1/rerank",
  "/v2/rerank",
  "/completion",
  "/infill",
];

test("Each route with a JSON body goes to the engine of its model, by id and by alias", async (context) => {
  const stage = await createStage(context);
  for (const model of ["first", "org/beta"]) {
    const engine = stage.engine(model === "first" ? "alpha" : model);
    for (const path of JSON_PATHS) {
      const reply = await ask(stage, { path: `${path}?q=1`, body: chat(model) });
      assert.equal(reply.status, 200, path);
      const received = engine.received.at(-1);
      assert.deepEqual(
        [received?.method, received?.url, received?.body.toString()],
        ["POST", `${path}?q=1`, chat(model)],
      );
    }
  }
});

test("A response is asked for, cancelled and deleted at the engine that made it", async (context) => {
  const stage = await createStage(context);
  for (const [model, type, head] of [
    ["alpha", "application/json", '{"id":"resp_ID","object":"response"}'],
    ["org/beta", "text/event-stream", 'event: response.created\ndata: {"response":{"id":"resp_ID"}}\n\n'],
  ] as const) {
    const engine = stage.engine(model);
    const id = `resp_${model.length}`;
    engine.handler = (response, received) => {
      response.setHeader("content-type", received.method === "POST" ? type : "application/json");
      response.end(received.url === "/v1/responses" ? head.replace("resp_ID", id) : "{}");
    };
    assert.equal((await ask(stage, { path: "/v1/responses", body: chat(model) })).status, 200);
    for (const [method, path] of [
      ["GET", `/v1/responses/${id}?stream=true`],
      ["POST", `/v1/responses/${id}/cancel`],
      ["DELETE", `/v1/responses/${id}`],
    ] as const) {
      assert.equal((await ask(stage, { method, path, body: null })).status, 200);
      assert.deepEqual([engine.received.at(-1)?.method, engine.received.at(-1)?.url], [method, path]);
    }
  }
  await until(() => stage.access.length === 8, "the records");
  assert.deepEqual([stage.access[1]?.route, stage.access[1]?.model], ["/v1/responses/{id}", "alpha"]);
});

test("A response that nobody made is a 404 that wakes nobody", async (context) => {
  const stage = await createStage(context);
  const reply = await ask(stage, { method: "GET", path: "/v1/responses/resp_x", body: null });
  assert.equal(reply.status, 404);
  assert.equal(json(reply).error?.["code"], "response_not_found");
  assert.equal((await ask(stage, { method: "PUT", path: "/v1/responses/resp_x" })).status, 405);
  assert.deepEqual(stage.asked, []);
});

test("With a single model configured, a body without one means that one", async (context) => {
  const stage = await createStage(context, { models: MODELS.slice(0, 1) });
  assert.equal((await ask(stage, { body: '{"messages":[]}' })).status, 200);
  assert.equal(stage.engine("alpha").received[0]?.body.toString(), '{"messages":[]}');
  assert.equal((await ask(stage, { body: chat("gpt") })).status, 404);
});

test("Below /upstream/ an operator reaches what else an engine has, and nobody else does", async (context) => {
  const key = createKey();
  const stage = await createStage(context, { adminKeyHash: hashOfKey(key) });
  const headers = { authorization: `Bearer ${key}` };
  stage.engine("org/beta").handler = (response, received) => response.end(`${received.method} ${received.url}`);
  for (const [method, path, seen] of [
    ["GET", "/upstream/org/beta/metrics?x=1", "GET /metrics?x=1"],
    ["GET", "/upstream/org%2Fbeta/v1/models", "GET /v1/models"],
    ["PUT", "/upstream/org/beta/a/b", "PUT /a/b"],
    ["DELETE", "/upstream/org/beta", "DELETE /"],
  ] as const) {
    const reply = await ask(stage, { method, path, headers, body: method === "PUT" ? "raw \0 bytes" : null });
    assert.deepEqual([reply.status, reply.body.toString()], [200, seen]);
  }
  assert.equal(stage.engine("org/beta").received[2]?.body.toString(), "raw \0 bytes");
  for (const { headers: got } of stage.engine("org/beta").received) assert.equal(got.authorization, undefined);
  const before = stage.engine("org/beta").received.length;
  for (const path of ["sleep", "v1/../sleep", "%73leep", "wake_up", "/sleep", "SLEEP?level=1"]) {
    const reply = await ask(stage, { path: `/upstream/org/beta/${path}`, headers });
    assert.equal(reply.status, 404, path);
  }
  for (const wrong of [{}, { authorization: `Bearer ${createKey()}` }, { "x-api-key": "x" }]) {
    const reply = await ask(stage, { method: "GET", path: "/upstream/org/beta/metrics", headers: wrong, body: null });
    assert.deepEqual([reply.status, json(reply).error?.["code"]], [404, "route_not_found"]);
  }
  assert.equal(stage.engine("org/beta").received.length, before);
});

test("Without an admin key there is no /upstream/", async (context) => {
  const stage = await createStage(context);
  const reply = await ask(stage, { method: "GET", path: "/upstream/alpha/metrics", body: null });
  assert.equal(reply.status, 404);
  assert.deepEqual(stage.asked, []);
});

test("An answer says which model gave it, and how long it waited and was woken for", async (context) => {
  const stage = await createStage(context, { onBringUp: () => {} });
  const asked = ask(stage, { body: chat("first") });
  await until(() => stage.asked.length === 1, "the start");
  await new Promise((resolve) => void setTimeout(resolve, 30));
  await stage.bringUp("alpha");
  const cold = (await asked).headers;
  assert.equal(cold["x-llmux-model"], "alpha");
  const [queueMs, wakeMs] = [Number(cold["x-llmux-queue-ms"]), Number(cold["x-llmux-wake-ms"])];
  assert.ok(wakeMs >= 29 && queueMs >= wakeMs, `${queueMs} ms in the queue, ${wakeMs} ms of them for the wake`);
  const warm = (await ask(stage)).headers;
  assert.deepEqual([warm["x-llmux-queue-ms"], warm["x-llmux-wake-ms"]], ["0", "0"]);
  stage.engine("alpha").handler = (response) => {
    response.writeHead(200, { "x-llmux-model": "the engine's own", "x-llmux-queue-ms": "9" }).end("{}");
  };
  assert.equal((await ask(stage)).headers["x-llmux-model"], "alpha");
});

test("A target with scheme and authority before it is taken for what follows them", async (context) => {
  const stage = await createStage(context);
  for (const authority of ["http://x", "https://127.0.0.1:3000", "HTTP://[::1]:80"]) {
    const post = await RawClient.open(stage);
    post.send("POST", `${authority}/v1/chat/completions?q=http://y/z`, chat("alpha"), "connection: close\r\n");
    assert.match(await post.untilClosed(), /^HTTP\/1\.1 200 /);
    assert.equal(stage.engine("alpha").received.at(-1)?.url, "/v1/chat/completions?q=http://y/z");
    for (const [target, found] of [
      ["", '"name":"llmux"'],
      ["?a=/b", '"name":"llmux"'],
      ["/health", '"status":"ok"'],
      ["/v1/models/org/beta", '"id":"org/beta"'],
    ] as const) {
      const get = await RawClient.open(stage);
      get.socket.write(`GET ${authority}${target} HTTP/1.1\r\nhost: y\r\nconnection: close\r\n\r\n`);
      const answer = await get.untilClosed();
      assert.ok(answer.startsWith("HTTP/1.1 200 ") && answer.includes(found), `${authority}${target}: ${answer}`);
    }
  }
  assert.ok(stage.access.every(({ route }) => route?.startsWith("/") === true));
});
