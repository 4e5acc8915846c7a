import assert from "node:assert/strict";
import type { ServerResponse } from "node:http";
import { test, type TestContext } from "node:test";
import { failure } from "../base/failure.ts";
import { ask, chat, json, open, RawClient, type Reply } from "./testing/client.ts";
import { createStage, until, type Stage, type StageOptions } from "./testing/stage.ts";

const FAST_NOTICE: StageOptions = { limits: { crashNoticeMs: 50 } };
const PATIENT: StageOptions = { limits: { crashNoticeMs: 60_000 } };

async function onlyEntry(stage: Stage): Promise<Stage["access"][number]> {
  await until(() => stage.access.length === 1, "the record of the request");
  const [entry] = stage.access;
  assert.ok(entry !== undefined);
  return entry;
}

test("An engine that dies before its first byte is restarted, and the request is served by its next life", async (context) => {
  const stage = await createStage(context, PATIENT);
  const engine = stage.engine("alpha");
  engine.handler = (response, received) => (engine.lives === 1 ? stage.crash("alpha") : response.end(received.body));
  const reply = await ask(stage);
  assert.equal(reply.status, 200);
  assert.equal(reply.body.toString(), chat("alpha"));
  assert.equal(engine.received.length, 2);
  assert.deepEqual(stage.asked, ["start alpha", "stop alpha", "start alpha"]);
  assert.equal((await onlyEntry(stage)).outcome, "served");
});

test("A head without a body is no first byte: a death right after it is retried too", async (context) => {
  const stage = await createStage(context, PATIENT);
  const engine = stage.engine("alpha");
  engine.handler = (response) => {
    if (engine.lives > 1) return response.end("whole");
    response.writeHead(200, { "content-type": "text/event-stream", "x-life": "1" });
    response.flushHeaders();
    // The head has been handed to the kernel; the death comes a moment later.
    return setTimeout(() => stage.crash("alpha"), 20);
  };
  const reply = await ask(stage);
  assert.equal(reply.status, 200);
  assert.equal(reply.headers["x-life"], undefined);
  assert.equal(reply.body.toString(), "whole");
});

test("A death that is noticed late does not use up the tries: refused connections wait for the news", async (context) => {
  const stage = await createStage(context, PATIENT);
  const engine = stage.engine("alpha");
  engine.handler = (response, received) => (engine.lives === 1 ? engine.die() : response.end(received.body));
  const reply = ask(stage);
  const grants = (): number => stage.journal.filter(({ kind }) => kind === "request granted").length;
  await until(() => grants() === 2, "the second try on an engine that is already dead");
  stage.noticeCrash("alpha", failure("engine_crashed", "killed"));
  assert.equal((await reply).status, 200);
  assert.equal(engine.received.length, 2);
});

test("Once the crash is known, the patience for the news of it no longer counts", async (context) => {
  let restart: (() => void) | null = null;
  const stage = await createStage(context, {
    limits: { crashNoticeMs: 100 },
    onBringUp: (it, model) =>
      it.engine(model).lives === 0 ? void it.bringUp(model) : (restart = () => void it.bringUp(model)),
  });
  const engine = stage.engine("alpha");
  engine.handler = (response, received) => (engine.lives === 1 ? engine.die() : response.end(received.body));
  const reply = ask(stage);
  const granted = (): number => stage.journal.filter(({ kind }) => kind === "request granted").length;
  await until(() => granted() === 2, "the second try on an engine that is already dead");
  stage.noticeCrash("alpha", failure("engine_crashed", "killed"));
  const noticedAtMs = stage.nowMs;
  await until(() => stage.asked.length === 3 && stage.nowMs > noticedAtMs + 150, "the patience is over");
  assert.ok(restart !== null);
  (restart as () => void)();
  assert.equal((await reply).status, 200);
});

test("An engine that dies of the request twice is a 502 that says why", async (context) => {
  const stage = await createStage(context, PATIENT);
  const engine = stage.engine("alpha");
  engine.handler = () => stage.crash("alpha", `life ${engine.lives} ended`);
  const reply = await ask(stage);
  assert.equal(reply.status, 502);
  assert.equal(reply.headers["x-should-retry"], "false");
  assert.deepEqual(json(reply), {
    error: { message: "life 2 ended", type: "server_error", param: null, code: "engine_crashed" },
  });
  assert.equal(engine.received.length, 2);
  const { status, outcome, failure: reason } = await onlyEntry(stage);
  assert.deepEqual([status, outcome, reason?.code], [502, "failed", "engine_crashed"]);
});

test("A request that kills the engine unnoticed is not sent to a third life", async (context) => {
  const stage = await createStage(context, PATIENT);
  const engine = stage.engine("alpha");
  engine.handler = () => engine.die();
  const reply = ask(stage);
  for (const life of [1, 2]) {
    await until(() => engine.received.length === life, `life ${life} gets the request`);
    const granted = (): number => stage.journal.filter(({ kind }) => kind === "request granted").length;
    await until(() => granted() === 2 * life, `the try on the dead life ${life}`);
    stage.noticeCrash("alpha", failure("engine_crashed", `life ${life} ended`));
  }
  assert.equal((await reply).status, 502);
  assert.equal(engine.received.length, 2);
});

test("An engine that hangs up on every request but lives on is a 502 after two tries", async (context) => {
  const stage = await createStage(context, FAST_NOTICE);
  const engine = stage.engine("alpha");
  engine.handler = (response) => response.destroy();
  const reply = await ask(stage);
  assert.equal(reply.status, 502);
  assert.equal(json(reply).error?.["code"], "engine_unreachable");
  assert.match(String(json(reply).error?.["message"]), /engine of model alpha broke the connection before it answered/);
  assert.equal(engine.received.length, 2);
  engine.handler = (response) => response.end("well again");
  assert.equal((await ask(stage)).body.toString(), "well again");
});

test("An engine that nothing can be sent to, and that is not reported dead, is a 502", async (context) => {
  const stage = await createStage(context, FAST_NOTICE);
  await ask(stage);
  stage.engine("alpha").die();
  const refused = await ask(stage);
  assert.equal(refused.status, 502);
  assert.match(String(json(refused).error?.["message"]), /cannot be reached/);
  stage.engine("alpha").forget();
  const gone = await ask(stage);
  assert.equal(gone.status, 502);
  assert.match(String(json(gone).error?.["message"]), /has just ended/);
});

test("A keep-alive connection that the engine closes as the next request goes out is no client's problem", async (context) => {
  const stage = await createStage(context, PATIENT);
  let lastSocket: unknown = null;
  stage.engine("alpha").handler = (response, received, request) => {
    if (request.socket === lastSocket) return request.socket.resetAndDestroy();
    lastSocket = request.socket;
    return response.end(received.body);
  };
  for (let round = 0; round < 50; round += 1) assert.equal((await ask(stage)).status, 200);
});

test("Connections that the engine closes right after an answer, without a word, are no client's problem", async (context) => {
  const stage = await createStage(context, PATIENT);
  stage.engine("alpha").handler = (response, received) => {
    const { socket } = response;
    response.end(received.body, () => setImmediate(() => socket?.end()));
  };
  const replies: Promise<Reply>[] = [];
  for (let round = 0; round < 40; round += 1) {
    for (let index = 0; index < 5; index += 1) replies.push(ask(stage));
    await replies.at(-1);
  }
  for (const reply of await Promise.all(replies)) assert.equal(reply.status, 200);
});

/** Each begins an answer and does not end it. */
const BREAKS: readonly (readonly [string, (response: ServerResponse, stage: Stage) => void])[] = [
  ["the process is killed", (_, stage) => stage.crash("alpha")],
  ["the connection is reset", (response) => response.socket?.resetAndDestroy()],
  ["the connection is closed without the last chunk", (response) => response.socket?.end()],
];

for (const [what, breakIt] of BREAKS) {
  test(`A stream in whose middle ${what} ends with an error event, and not as if complete`, async (context) => {
    const stage = await createStage(context);
    stage.engine("alpha").handler = (response) => {
      response.writeHead(200, { "content-type": "text/event-stream" });
      response.write("data: 1\n\n");
    };
    const answer = await open(stage);
    const text = await readCut(answer, () => {
      for (const response of openResponses(stage)) breakIt(response, stage);
    });
    const [first, ...rest] = text.split("\n\n").filter((event) => event.trim() !== "");
    assert.equal(first, "data: 1");
    assert.equal(rest.length, 1);
    const event: { error: { code: string; type: string } } = JSON.parse((rest[0] ?? "").trim().replace("data: ", ""));
    assert.match(event.error.code, /^engine_(crashed|unreachable)$/);
    const { status, outcome } = await onlyEntry(stage);
    assert.deepEqual([status, outcome], [502, "failed"]);
    assert.equal(stage.engine("alpha").received.length, 1);
  });
}

test("On Anthropic's route the last event of a broken stream has Anthropic's form", async (context) => {
  const stage = await createStage(context);
  stage.engine("alpha").handler = (response) => {
    response.writeHead(200, { "content-type": "text/event-stream; charset=utf-8" });
    // The crash comes in the middle of an event.
    response.write('event: ping\ndata: {"type": "pi');
  };
  const answer = await open(stage, { path: "/v1/messages", headers: { "x-request-id": "r7" } });
  const text = await readCut(answer, () => stage.crash("alpha", "gone"));
  const error = { type: "error", error: { type: "api_error", message: "gone" }, request_id: "r7" };
  assert.equal(text, `event: ping\ndata: {"type": "pi\n\nevent: error\ndata: ${JSON.stringify(error)}\n\n`);
});

const SHORT_ANSWERS: readonly (readonly [string, string])[] = [
  ["shorter than its content-length", "content-length: 20\r\n\r\n12345"],
  [
    "shorter than its content-length, on a connection to be closed",
    "connection: close\r\ncontent-length: 9\r\n\r\n12345",
  ],
  ["chunked and without its last chunk", "transfer-encoding: chunked\r\n\r\n5\r\n12345\r\n"],
  ["chunked and cut in a chunk", "transfer-encoding: chunked\r\n\r\n9\r\n12345"],
  [
    "chunked and cut, on a connection to be closed",
    "connection: close\r\ntransfer-encoding: chunked\r\n\r\n5\r\n12345\r\n",
  ],
];

for (const [what, rest] of SHORT_ANSWERS) {
  test(`An answer ${what} is cut for the client too, and counts as failed`, async (context) => {
    const stage = await createStage(context);
    stage.engine("alpha").handler = (response) => response.socket?.end(`HTTP/1.1 200 OK\r\n${rest}`);
    const reply = await ask(stage);
    assert.equal(reply.isCut, true);
    assert.equal(reply.body.toString(), "12345");
    assert.equal((await onlyEntry(stage)).outcome, "failed");
    assert.equal(stage.engine("alpha").received.length, 1);
  });
}

test("A client that is told neither length nor chunks sees a reset, not an end", async (context) => {
  const stage = await createStage(context);
  stage.engine("alpha").handler = (response) => response.write("half");
  const client = await RawClient.open(stage);
  let resetCode = "";
  client.socket.on("error", (error: NodeJS.ErrnoException) => (resetCode = error.code ?? ""));
  const body = chat("alpha");
  client.socket.write(`POST /v1/completions HTTP/1.0\r\ncontent-length: ${body.length}\r\n\r\n${body}`);
  await client.until(/half$/);
  assert.doesNotMatch(client.received, /chunked/i);
  stage.crash("alpha");
  await until(() => resetCode !== "", "the reset");
  assert.equal(resetCode, "ECONNRESET");
});

async function drained(
  context: TestContext,
  begin: (response: ServerResponse) => void,
): Promise<[Stage, Promise<Reply>]> {
  const stage = await createStage(context, { drainTimeoutMs: 20 });
  stage.engine("alpha").handler = begin;
  const reply = ask(stage);
  await until(() => stage.engine("alpha").received.length === 1, "the request is on its way");
  const other = await ask(stage, { body: chat("org/beta") });
  assert.equal(other.status, 200);
  assert.deepEqual(stage.asked, ["start alpha", "sleep alpha", "start org/beta"]);
  return [stage, reply];
}

test("A request that had not begun to answer when its time to drain was over is a 503, and is not sent again", async (context) => {
  const [stage, pending] = await drained(context, () => {});
  const reply = await pending;
  assert.equal(reply.status, 503);
  assert.equal(json(reply).error?.["code"], "drain_timeout");
  assert.equal(reply.headers["retry-after"], "1");
  assert.equal(stage.engine("alpha").received.length, 1);
});

test("A stream whose time to drain is over ends with an error event, and its engine is let go first", async (context) => {
  let letGo = false;
  const [stage, pending] = await drained(context, (response) => {
    response.on("close", () => (letGo = true));
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.write("data: 1\n\n");
  });
  const reply = await pending;
  assert.equal(reply.isCut, true);
  assert.match(reply.body.toString(), /"code":"drain_timeout"}}\n\n$/);
  await until(() => letGo, "the engine sees the end");
  assert.equal(stage.access.find(({ model }) => model === "alpha")?.status, 503);
});

test("A failed start is a 503 with the reason and a time for the next try, and so is a request during its backoff", async (context) => {
  const stage = await createStage(context, {
    onBringUp: ({ scheduler, nowMs }, model) => {
      const reason = failure("start_failed", "no such model on disk", { lastOutput: ["secret path"] });
      scheduler.onWakeFailed(model, reason, nowMs);
    },
  });
  for (let round = 0; round < 2; round += 1) {
    const reply = await ask(stage);
    assert.equal(reply.status, 503);
    assert.deepEqual(json(reply), {
      error: { message: "no such model on disk", type: "server_error", param: null, code: "start_failed" },
    });
    assert.match(String(reply.headers["retry-after"]), /^[12]$/);
  }
  await until(() => stage.access.length === 2, "the records");
  assert.deepEqual(
    stage.access.map(({ outcome }) => outcome),
    ["refused", "refused"],
  );
});

test("A model that does not come in time is a 504", async (context) => {
  const stage = await createStage(context, { requestTimeoutMs: 30, onBringUp: () => {} });
  const reply = await ask(stage);
  assert.equal(reply.status, 504);
  assert.equal(json(reply).error?.["type"], "timeout");
  assert.equal(json(reply).error?.["code"], "queue_timeout");
  const { waitedMs, durationMs } = await onlyEntry(stage);
  assert.ok(waitedMs > 0 && waitedMs <= durationMs, `waited ${waitedMs} of ${durationMs} ms`);
});

/** Reads the answer until it is cut; `breakIt` is called when its first bytes have come. */
async function readCut(answer: Awaited<ReturnType<typeof open>>, breakIt: () => void): Promise<string> {
  let text = "";
  answer.on("data", (chunk) => {
    if (text === "") setImmediate(breakIt);
    text += chunk;
  });
  answer.on("error", () => {});
  await new Promise<void>((resolve) => {
    answer.once("close", resolve);
  });
  assert.equal(answer.complete, false, "the answer ended as if it were complete");
  return text;
}

function openResponses(stage: Stage): readonly ServerResponse[] {
  return stage.engine("alpha").openResponses;
}
