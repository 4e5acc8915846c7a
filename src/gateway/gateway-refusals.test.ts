import assert from "node:assert/strict";
import { test } from "node:test";
import { ask, chat, json, RawClient } from "./testing/client.ts";
import { createStage, until, type Stage } from "./testing/stage.ts";

/** No engine has been started, and none has got anything. */
function assertNothingHappened(stage: Stage): void {
  assert.deepEqual(stage.asked, []);
  for (const engine of stage.engines.values()) assert.deepEqual(engine.received, []);
}

const FORBIDDEN_TARGETS = [
  "/sleep",
  "/sleep?level=1",
  "/wake_up",
  "/is_sleeping",
  "/collective_rpc",
  "/pause",
  "/resume",
  "/reset_prefix_cache",
  "/load",
  "/version",
  "/metrics",
  "/docs",
  "/ping",
  "/v1",
  "/v1/",
  "/v1/../sleep",
  "/v1/chat/completions/../../../sleep",
  "/./sleep",
  "/%73leep",
  "/%2e%2e/sleep",
  "//sleep",
  "//v1/chat/completions",
  "/v1//chat/completions",
  "/v1/chat/completions/",
  "/V1/chat/completions",
  "/v1/chat/completions;x",
  "/v1/chat/completions#",
  "/v1/chat/completions%3f",
  "/v1/chat%2fcompletions",
  "/v1\\chat\\completions",
  "http://127.0.0.1/sleep",
  "http://127.0.0.1//v1/chat/completions",
  "http://127.0.0.1/http://127.0.0.1/v1/chat/completions",
  "http://user@127.0.0.1/v1/chat/completions",
  "http:///v1/chat/completions",
  "http:/v1/chat/completions",
  "ftp://127.0.0.1/v1/chat/completions",
  "127.0.0.1/v1/chat/completions",
  "*",
  "/%",
  "/v1/load_lora_adapter",
  "/v1/models/../../sleep/",
  "/v1/messagesx",
  "/tokenize/",
];

test("No spelling of a path that is not on the list reaches an engine", async (context) => {
  const stage = await createStage(context);
  for (const method of ["POST", "GET"]) {
    for (const target of FORBIDDEN_TARGETS) {
      const client = await RawClient.open(stage);
      client.send(method, target, chat("alpha"), "connection: close\r\n");
      const answer = await client.untilClosed();
      assert.match(answer, /^HTTP\/1\.1 (?:404|405|400) /, `${method} ${target}`);
      assert.match(answer, /\r\n\r\n{.*"error":{.*}}$/, `${method} ${target}`);
    }
  }
  assertNothingHappened(stage);
});

test("A path that is on the list is 405 with another method, and says which are possible", async (context) => {
  const stage = await createStage(context);
  for (const [method, path, allow] of [
    ["GET", "/v1/chat/completions", "POST"],
    ["PUT", "/v1/messages", "POST"],
    ["OPTIONS", "/v1/embeddings", "POST"],
    ["POST", "/v1/models", "GET, HEAD"],
    ["DELETE", "/v1/models/alpha", "GET, HEAD"],
    ["POST", "/health", "GET, HEAD"],
  ] as const) {
    const reply = await ask(stage, { method, path, body: null });
    assert.equal(reply.status, 405, `${method} ${path}`);
    assert.equal(reply.headers.allow, allow);
  }
  assertNothingHappened(stage);
});

const BAD_BODIES: readonly (readonly [string, string | Buffer, RegExp])[] = [
  ["no body", "", /is empty/],
  ["not JSON", "{'model': 'alpha'}", /not valid JSON/],
  ["JSON that ends early", '{"model": "alpha"', /not valid JSON: it breaks at position 17|ends too early/],
  ["an array", '[{"model": "alpha"}]', /must be a JSON object, and it is an array/],
  ["null", "null", /it is null/],
  ["a string", '"alpha"', /it is a string/],
  [
    "no model",
    '{"messages": []}',
    /The body must name a model in `model`, and names none. There are: `alpha`, `org\/beta`\./,
  ],
  ["an empty model", '{"model": ""}', /`model` is empty/],
  ["a model that is a number", '{"model": 7}', /must be a string, and it is a number/],
  ["a model that is null", '{"model": null}', /must be a string, and it is null/],
  ["a model that is an object", '{"model": {"model": "alpha"}}', /must be a string, and it is an object/],
  ["two models", '{"model": "alpha", "model": "org/beta"}', /more than once/],
  ["two models, one in disguise", '{"model": "alpha", "\\u006dodel": "org/beta"}', /more than once/],
  ["invalid UTF-8", Buffer.from('{"model": "alpha", "x": "\xff"}', "latin1"), /not valid UTF-8/],
];

for (const [what, body, message] of BAD_BODIES) {
  test(`A body that is ${what} is a 400 that says so, in the form of its API`, async (context) => {
    const stage = await createStage(context);
    const reply = await ask(stage, { body });
    assert.equal(reply.status, 400);
    assert.equal(reply.headers["content-type"], "application/json; charset=utf-8");
    const { error = {} } = json(reply);
    assert.match(String(error["message"]), message);
    assert.deepEqual(
      { ...error, message: "" },
      {
        message: "",
        type: "invalid_request_error",
        param: null,
        code: "invalid_request",
      },
    );
    const anthropic = await ask(stage, { body, path: "/v1/messages", headers: { "x-request-id": "r9" } });
    const { error: { message: text } = {}, ...rest } = json(anthropic);
    assert.match(String(text), message);
    assert.deepEqual(rest, { type: "error", request_id: "r9" });
    assertNothingHappened(stage);
  });
}

test("A compressed body is refused, since the model cannot be read from it", async (context) => {
  const stage = await createStage(context);
  const reply = await ask(stage, { headers: { "content-encoding": "gzip" } });
  assert.equal(reply.status, 400);
  assertNothingHappened(stage);
});

test("A priority that there is not is a 400 that names the header, what it may be and what it is", async (context) => {
  const stage = await createStage(context);
  for (const value of ["urgent", "", "HIGH", "low, high", "x".repeat(500)]) {
    const reply = await ask(stage, { headers: { "x-llmux-priority": value } });
    assert.equal(reply.status, 400);
    const message = String(json(reply).error?.["message"]);
    assert.match(message, /^The header x-llmux-priority must be low, normal or high, and it is ".*"\.$/);
    assert.ok(message.includes(value.slice(0, 50)) && message.length < 150, message);
  }
  assertNothingHappened(stage);
});

test("An unknown model is a 404 that names the models there are, and the one that was probably meant", async (context) => {
  const stage = await createStage(context);
  const reply = await ask(stage, { body: chat("alpah") });
  assert.equal(reply.status, 404);
  assert.deepEqual(json(reply).error, {
    message: "The model `alpah` does not exist. Did you mean `alpha`? There are: `alpha`, `org/beta`.",
    type: "invalid_request_error",
    param: "model",
    code: "model_not_found",
  });
  const anthropic = await ask(stage, { body: chat("zzz"), path: "/v1/messages/count_tokens" });
  assert.equal(anthropic.status, 404);
  assert.deepEqual(json(anthropic).error, {
    type: "not_found_error",
    message: "The model `zzz` does not exist. There are: `alpha`, `org/beta`.",
  });
  assertNothingHappened(stage);
});

test("A body over the limit is a 413 at once, announced or not, and one at the limit passes", async (context) => {
  const stage = await createStage(context, { bodyBytesMax: 300_000 });
  const just = chat("alpha", { text: "x".repeat(300_000 - chat("alpha", { text: "" }).length) });
  assert.equal((await ask(stage, { body: just })).status, 200);
  const tooLarge = await ask(stage, { body: `${just} ` });
  assert.equal(tooLarge.status, 413);
  assert.equal(tooLarge.headers.connection, "close");
  assert.equal(json(tooLarge).error?.["code"], "body_too_large");

  const announced = await RawClient.open(stage);
  announced.socket.write("POST /v1/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 200000000\r\n\r\n");
  await announced.until(/^HTTP\/1\.1 413 [^]*connection: close\r\n[^]*}}$/i);

  const chunked = await RawClient.open(stage);
  chunked.socket.write("POST /v1/completions HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n");
  const chunk = `10000\r\n${"x".repeat(0x10000)}\r\n`;
  const pump = setInterval(() => chunked.socket.write(chunk), 1);
  await chunked.until(/^HTTP\/1\.1 413 [^]*}}$/);
  clearInterval(pump);
  for (const client of [announced, chunked]) client.socket.destroy();
  await until(() => stage.access.filter(({ status }) => status === 413).length === 3, "the records");
  assert.equal(stage.engine("alpha").received.length, 1);
});

test("A client that reads only when its whole huge body is out still gets its 413", async (context) => {
  const stage = await createStage(context, { bodyBytesMax: 1_000 });
  const client = await RawClient.open(stage);
  client.socket.pause();
  const body = Buffer.alloc(20_000_000, "x");
  client.socket.write(`POST /v1/completions HTTP/1.1\r\nhost: x\r\ncontent-length: ${body.length}\r\n\r\n`);
  const error = await new Promise((resolve) => {
    client.socket.write(body, resolve);
  });
  assert.equal(error ?? null, null);
  client.socket.resume();
  assert.match(await client.untilClosed(), /^HTTP\/1\.1 413 [^]*"type":"invalid_request_error"[^]*}}$/);
});

test("Requests that come too slowly, or not to their end, are answered with 408", async (context) => {
  const limits = { headersTimeoutMs: 50, requestTimeoutMs: 100, timeoutCheckMs: 10 };
  const stage = await createStage(context, { limits });
  for (const beginning of [
    "POST /v1/completions HTTP/1.1\r\nhost: x\r\n",
    'POST /v1/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 50\r\n\r\n{"model": "al',
  ]) {
    const client = await RawClient.open(stage);
    client.socket.write(beginning);
    assert.match(await client.untilClosed(), /^HTTP\/1\.1 408 [^]*\r\n\r\n{"error":{.*}}$/);
  }
  // The second one had become a request.
  await until(() => stage.access.length === 1, "the record");
  assert.deepEqual([stage.access[0]?.status, stage.access[0]?.outcome], [408, "refused"]);
  assertNothingHappened(stage);
});

const BROKEN_REQUESTS: readonly (readonly [string, string, number])[] = [
  ["no HTTP at all", "hello\r\n\r\n", 400],
  [
    "both lengths",
    "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    400,
  ],
  ["two lengths", "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello", 400],
  ["a folded header", "GET / HTTP/1.1\r\nhost: x\r\n y\r\n\r\n", 400],
  ["no host", "GET / HTTP/1.1\r\n\r\n", 400],
  ["endless headers", `GET / HTTP/1.1\r\nhost: x\r\na: ${"x".repeat(20_000)}\r\n\r\n`, 431],
  ["a broken chunk", "POST /tokenize HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", 400],
];

for (const [what, bytes, status] of BROKEN_REQUESTS) {
  test(`A request with ${what} gets a ${status} with an error object, and the next one works`, async (context) => {
    const stage = await createStage(context);
    const client = await RawClient.open(stage);
    client.socket.write(bytes);
    const answer = await client.until(new RegExp(`^HTTP/1\\.1 ${status} [^]*\\r\\n\\r\\n{"error":{.*}}$`));
    assert.ok(answer);
    client.socket.destroy();
    assert.equal((await ask(stage, { method: "GET", path: "/health", body: null })).status, 200);
    assertNothingHappened(stage);
  });
}

test("Broken bytes behind a request whose answer has begun do not get into that answer", async (context) => {
  const stage = await createStage(context);
  stage.engine("alpha").handler = (response) => void response.write("begun");
  const client = await RawClient.open(stage);
  client.send("POST", "/v1/completions", chat("alpha"));
  await client.until(/begun/);
  client.socket.write("broken\r\n\r\n");
  stage.engine("alpha").openResponses[0]?.end(" and ended");
  const answer = await client.untilClosed();
  assert.match(answer, /^HTTP\/1\.1 200 OK\r\n[^]*begun\r\n[^]* and ended\r\n0\r\n\r\nHTTP\/1\.1 400 [^]*"error"/);
  assert.equal(answer.match(/^HTTP\/1\.1 \d/gm)?.length, 2);
});

test("A body that breaks is refused in the form of the API that it is for, with the request's id", async (context) => {
  const stage = await createStage(context, { limits: { requestTimeoutMs: 100, timeoutCheckMs: 20 } });
  for (const [broken, status] of [
    ["transfer-encoding: chunked\r\n\r\nzz\r\n", 400],
    ["content-length: 1000\r\n\r\n{", 408],
  ] as const) {
    const client = await RawClient.open(stage);
    client.socket.write(`POST /v1/messages HTTP/1.1\r\nhost: x\r\nx-request-id: abc\r\n${broken}`);
    const answer = await client.untilClosed();
    assert.match(answer, new RegExp(`^HTTP/1\\.1 ${status} [^]*\r\nx-request-id: abc\r\nrequest-id: abc\r\n`));
    assert.match(answer, /{"type":"error","error":{"type":"invalid_request_error".*},"request_id":"abc"}$/);
  }
});
