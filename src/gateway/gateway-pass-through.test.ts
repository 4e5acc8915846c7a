import assert from "node:assert/strict";
import { randomBytes, randomInt } from "node:crypto";
import { test } from "node:test";
import { ask, chat, json, open, RawClient } from "./testing/client.ts";
import { createStage, until } from "./testing/stage.ts";

test("A request goes to the engine byte for byte, and the answer comes back the same way", async (context) => {
  const stage = await createStage(context);
  const answer = randomBytes(5_000);
  stage.engine("alpha").handler = (response) => {
    response.writeHead(201, { "content-type": "application/x-odd", "x-own": "yes" });
    response.end(answer);
  };
  const body = ' {\n "model" :"alpha", "text": "ä€🙂", "n": 1.50 } ';
  const reply = await ask(stage, { path: "/v1/completions?a=%20b&c", body });
  assert.equal(reply.status, 201);
  assert.equal(reply.headers["content-type"], "application/x-odd");
  assert.equal(reply.headers["x-own"], "yes");
  assert.ok(reply.body.equals(answer));
  const [received] = stage.engine("alpha").received;
  assert.equal(received?.url, "/v1/completions?a=%20b&c");
  assert.equal(received?.body.toString(), body);
});

test("A thousand streams and whole answers arrive unchanged, wherever they are cut", async (context) => {
  const stage = await createStage(context);
  let pieces: Buffer[] = [];
  let headers = {};
  stage.engine("alpha").handler = (response) => {
    response.writeHead(200, headers);
    const next = (): void => {
      const piece = pieces.shift();
      if (piece === undefined) response.end();
      else response.write(piece, next);
    };
    next();
  };
  for (let round = 0; round < 1_000; round += 1) {
    const events = Array.from({ length: randomInt(1, 20) }, (_, index) => {
      return `data: {"index":${index},"text":"${"ä€🙂\\n".repeat(randomInt(0, 30))}"}\n\n`;
    });
    const whole = Buffer.from(events.join(""));
    const isStream = round % 2 === 0;
    headers = isStream
      ? { "content-type": "text/event-stream; charset=utf-8" }
      : { "content-type": "application/json", "content-length": whole.length };
    pieces = cutAnywhere(whole);
    const reply = await ask(stage);
    assert.equal(reply.isCut, false);
    assert.ok(reply.body.equals(whole), `round ${round}`);
  }
});

test("A chunk reaches the client while the engine is still thinking about the next one", async (context) => {
  const stage = await createStage(context);
  stage.engine("alpha").handler = (response) => {
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.write("data: 1\n\n");
  };
  const answer = await open(stage);
  let heard = "";
  answer.on("data", (chunk) => (heard += chunk));
  await until(() => heard === "data: 1\n\n", "the first chunk");
  const [speaking] = stage.engine("alpha").openResponses;
  speaking?.write("data: 2\n\n");
  await until(() => heard === "data: 1\n\ndata: 2\n\n", "the second chunk");
  assert.equal(stage.access.length, 0);
  assert.equal(stage.desk.leasesOut, 1);
  speaking?.end();
  await until(() => stage.access.length === 1, "the end");
  assert.equal(answer.headers["cache-control"], "no-cache");
  assert.equal(answer.headers["x-accel-buffering"], "no");
});

test("Chunks that pass with their framing are counted and reach each client in the way that it can read", async (context) => {
  const stage = await createStage(context);
  const usage = 'data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4}}\n\n';
  const events = ["data: 1\n\n", "data: 2\n\n", usage.slice(0, 30), usage.slice(30), "data: [DONE]\n\n"];
  stage.engine("alpha").handler = (response) => {
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.flushHeaders();
    // In one piece, the third of them with an extension, and a trailer at the end.
    const frames = events.map(
      (data, index) => `${data.length.toString(16)}${index === 2 ? ";x=y" : ""}\r\n${data}\r\n`,
    );
    response.socket?.end(`${frames.join("")}0\r\nx-trailer: 1\r\n\r\n`, "latin1");
  };
  const reply = await ask(stage, { body: chat("alpha") });
  assert.equal(reply.isCut, false);
  assert.equal(reply.body.toString(), events.join(""));
  const old = await RawClient.open(stage);
  old.socket.write("POST /v1/completions HTTP/1.0\r\ncontent-length: 17\r\n\r\n");
  old.socket.write('{"model":"alpha"}');
  await old.until(/\[DONE\]\n\n$/);
  assert.ok(old.received.endsWith(`\r\n\r\n${events.join("")}`), "bare, as HTTP/1.0 wants it");
  await until(() => stage.access.length === 2, "the records");
  for (const record of stage.access) {
    const { outcome, bytesOut, promptTokens, outputTokens } = record;
    assert.deepEqual([outcome, bytesOut], ["served", events.join("").length]);
    assert.deepEqual([promptTokens, outputTokens], [3, 4]);
  }
});

test("Credentials, hop-by-hop headers and the gateway's own stay here; the rest goes on", async (context) => {
  const stage = await createStage(context);
  stage.engine("alpha").handler = (response) => {
    response.writeHead(200, [
      "connection",
      "x-between, keep-alive",
      "x-between",
      "1",
      "keep-alive",
      "timeout=5",
      "proxy-authenticate",
      "Basic",
      "x-request-id",
      "of the engine",
      "set-cookie",
      "a=1",
      "set-cookie",
      "b=2",
    ]);
    response.end("{}");
  };
  const reply = await ask(stage, {
    headers: {
      authorization: "Bearer secret",
      "x-api-key": "secret",
      "api-key": "secret",
      cookie: "secret=1",
      connection: "x-hop, close",
      "x-hop": "1",
      te: "trailers",
      expect: "something",
      "proxy-authorization": "secret",
      "model-override": "first",
      "x-request-id": "id-1",
      traceparent: "00-1-2-3",
      "user-agent": "tester",
    },
  });
  assert.equal(reply.status, 200);
  assert.equal(reply.headers["x-request-id"], "id-1");
  assert.deepEqual(reply.headers["set-cookie"], ["a=1", "b=2"]);
  assert.equal(reply.headers["x-between"], undefined);
  assert.equal(reply.headers["proxy-authenticate"], undefined);
  const [received] = stage.engine("alpha").received;
  assert.deepEqual(Object.keys(received?.headers ?? {}).sort(), [
    "content-length",
    "host",
    "traceparent",
    "user-agent",
    "x-request-id",
  ]);
  assert.equal(received?.headers["x-request-id"], "id-1");
  assert.equal(received?.headers.host, stage.engine("alpha").connection?.origin.slice("http://".length));
});

test("A request without an id gets one, and one with an impossible id gets another", async (context) => {
  const stage = await createStage(context);
  for (const headers of [{}, { "x-request-id": "a b" }, { "x-request-id": "x".repeat(500) }]) {
    const reply = await ask(stage, { headers });
    assert.match(String(reply.headers["x-request-id"]), /^[0-9a-f-]{36}$/);
    assert.equal(stage.engine("alpha").received.at(-1)?.headers["x-request-id"], reply.headers["x-request-id"]);
  }
});

test("The header model-override decides before the body, which may then be anything", async (context) => {
  const stage = await createStage(context);
  const reply = await ask(stage, { headers: { "model-override": "org/beta" }, body: chat("alpha") });
  assert.equal(reply.status, 200);
  assert.equal(stage.engine("alpha").received.length, 0);
  assert.equal(stage.engine("org/beta").received.length, 1);
  const unknown = await ask(stage, { headers: { "model-override": "gamma" } });
  assert.equal(unknown.status, 404);
});

test("An error of the engine is its own answer, and is passed as it is", async (context) => {
  const stage = await createStage(context);
  stage.engine("alpha").handler = (response) => {
    response.writeHead(500, { "content-type": "application/json" });
    response.end('{"error":{"message":"broken","code":500}}');
  };
  const reply = await ask(stage);
  assert.equal(reply.status, 500);
  assert.deepEqual(json(reply), { error: { message: "broken", code: 500 } });
  await until(() => stage.access.length === 1, "the end");
  assert.equal(stage.access[0]?.outcome, "failed");
  assert.equal(stage.engine("alpha").received.length, 1);
});

test("Answers without a body pass: 204, and a length of 0", async (context) => {
  const stage = await createStage(context);
  for (const [status, headers] of [
    [204, {}],
    [200, { "content-length": "0" }],
  ] as const) {
    stage.engine("alpha").handler = (response) => void response.writeHead(status, headers).end();
    const reply = await ask(stage);
    assert.equal(reply.status, status);
    assert.equal(reply.body.length, 0);
    assert.equal(reply.isCut, false);
  }
});

test("Each finished request leaves one record that adds up", async (context) => {
  const stage = await createStage(context);
  const reply = await ask(stage, { body: chat("first"), headers: { "x-request-id": "r1" } });
  await until(() => stage.access.length === 1, "the record");
  const [entry] = stage.access;
  assert.ok(entry !== undefined);
  const { durationMs, waitedMs, arrivedAtEpochMs, ...rest } = entry;
  assert.ok(Math.abs(Date.now() - durationMs - arrivedAtEpochMs) < 5_000);
  assert.ok(waitedMs > 0 && durationMs >= waitedMs);
  assert.deepEqual(rest, {
    requestId: "r1",
    method: "POST",
    route: "/v1/chat/completions",
    model: "alpha",
    status: 200,
    outcome: "served",
    bytesIn: chat("first").length,
    bytesOut: reply.body.length,
    promptTokens: null,
    outputTokens: null,
  });
});

test("What the engine says of its tokens stands in the record", async (context) => {
  const stage = await createStage(context);
  const usage = '"usage":{"prompt_tokens":3,"completion_tokens":5}';
  stage.engine("alpha").handler = (response) => {
    response.writeHead(200, { "content-type": "application/json" });
    response.end(`{"choices":[],${usage}}`);
  };
  await ask(stage);
  stage.engine("alpha").handler = (response) => {
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.end(`data: {"choices":[]}\n\ndata: {${usage}}\n\ndata: [DONE]\n\n`);
  };
  await ask(stage);
  await until(() => stage.access.length === 2, "the records");
  for (const { promptTokens, outputTokens } of stage.access) assert.deepEqual([promptTokens, outputTokens], [3, 5]);
});

test("The header x-llmux-priority reaches the scheduler and nobody behind it", async (context) => {
  const stage = await createStage(context);
  const asked: unknown[] = [];
  const onRequest = stage.scheduler.onRequest.bind(stage.scheduler);
  stage.scheduler.onRequest = (...all: [...Parameters<typeof onRequest>]) => {
    asked.push(all.at(3));
    onRequest(...all);
  };
  for (const priority of ["low", "normal", "high"]) {
    assert.equal((await ask(stage, { headers: { "x-llmux-priority": priority } })).status, 200);
  }
  assert.equal((await ask(stage)).status, 200);
  assert.deepEqual(asked, ["low", "normal", "high", undefined]);
  for (const { headers } of stage.engine("alpha").received) assert.equal(headers["x-llmux-priority"], undefined);
});

function cutAnywhere(whole: Buffer): Buffer[] {
  const pieces: Buffer[] = [];
  for (let at = 0; at < whole.length;) {
    const end = Math.min(whole.length, at + randomInt(1, 200));
    pieces.push(whole.subarray(at, end));
    at = end;
  }
  return pieces;
}

test("Anthropic's routes have the id of a request where Anthropic's clients look for it too, in errors as well", async (context) => {
  const stage = await createStage(context);
  stage.engine("alpha").handler = (response) => {
    response.setHeader("request-id", "the engine's own");
    response.end("{}");
  };
  const headers = { "x-request-id": "id-1" };
  for (const path of ["/v1/messages", "/v1/messages/count_tokens"]) {
    for (const model of ["alpha", "gamma"]) {
      const reply = await ask(stage, { path, headers, body: chat(model) });
      assert.deepEqual([reply.headers["request-id"], reply.headers["x-request-id"]], ["id-1", "id-1"]);
    }
  }
  assert.equal((await ask(stage, { headers })).headers["request-id"], undefined);
});
