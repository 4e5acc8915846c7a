import assert from "node:assert/strict";
import type { IncomingMessage } from "node:http";
import { test, type TestContext } from "node:test";
import OpenAI from "openai";
import { failure } from "../base/failure.ts";
import { ask, chat, open } from "./testing/client.ts";
import { createStage, until, type Stage, type StageOptions } from "./testing/stage.ts";

const STREAM = { body: chat("alpha", { stream: true }) };
const BEAT = /^: llmux model=alpha state="starting" position=1\n\n/;

/** A stage whose hearts beat fast and whose engines come up only by hand. */
function slowStage(context: TestContext, more: StageOptions = {}): Promise<Stage> {
  return createStage(context, { onBringUp: () => {}, limits: { heartbeatMs: 15 }, ...more });
}

/** Collects what comes; resolves at the end, which may be a cut. */
function listen(answer: IncomingMessage): { text: string; readonly ended: Promise<"whole" | "cut"> } {
  const heard = {
    text: "",
    ended: new Promise<"whole" | "cut">((resolve) => {
      answer.on("close", () => resolve(answer.complete ? "whole" : "cut"));
    }),
  };
  answer.on("data", (chunk: Buffer) => (heard.text += chunk.toString()));
  answer.on("error", () => {});
  return heard;
}

function withoutBeats(text: string): string {
  return text.replaceAll(/^: llmux .*\n\n/gm, "");
}

function answersWith(stage: Stage, text: string): void {
  stage.engine("alpha").handler = (response) => {
    response.writeHead(200, { "content-type": "text/event-stream", "content-length": Buffer.byteLength(text) });
    response.end(text);
  };
}

test("While its model loads, a stream hears how far it is, and then its engine, byte for byte", async (context) => {
  const stage = await slowStage(context);
  const events = 'data: {"x":"ä"}\n\ndata: [DONE]\n\n';
  answersWith(stage, events);
  const answer = await open(stage, STREAM);
  assert.equal(answer.statusCode, 200);
  assert.equal(answer.headers["content-type"], "text/event-stream; charset=utf-8");
  assert.equal(answer.headers["cache-control"], "no-cache");
  assert.equal(answer.headers["x-accel-buffering"], "no");
  assert.equal(answer.headers["x-llmux-model"], "alpha");
  assert.ok(answer.headers["x-request-id"] !== undefined);
  const heard = listen(answer);
  await until(() => (heard.text.match(/: llmux/g)?.length ?? 0) >= 3, "three beats");
  assert.match(heard.text, BEAT);
  stage.progress = { stage: "loading weights", percent: 40.7 };
  await until(() => heard.text.includes('stage="loading weights" percent=40 position=1\n\n'), "the progress");
  await stage.bringUp("alpha");
  assert.equal(await heard.ended, "whole");
  assert.equal(withoutBeats(heard.text), events);
  await until(() => stage.access.length === 1, "the record");
  assert.deepEqual([stage.access[0]?.status, stage.access[0]?.outcome], [200, "served"]);
});

test("Everybody who waits hears his own place in the queue of his model", async (context) => {
  const stage = await slowStage(context);
  answersWith(stage, "data: 1\n\n");
  const heard: ReturnType<typeof listen>[] = [];
  for (let index = 0; index < 3; index += 1) heard.push(listen(await open(stage, STREAM)));
  await until(() => heard.every(({ text }, index) => text.includes(` position=${index + 1}\n`)), "the positions");
  await stage.bringUp("alpha");
  for (const { ended } of heard) assert.equal(await ended, "whole");
});

test("Who wants no stream hears nothing before the answer, and who asks an awake model hears no beat", async (context) => {
  const stage = await slowStage(context);
  const whole = ask(stage, { body: chat("alpha") });
  const embedding = ask(stage, { path: "/v1/embeddings", body: chat("alpha", { stream: true }) });
  await until(() => stage.desk.waiting === 2, "both wait");
  await new Promise((resolve) => void setTimeout(resolve, 50));
  answersWith(stage, "data: 1\n\n");
  await stage.bringUp("alpha");
  for (const reply of await Promise.all([whole, embedding])) assert.equal(reply.body.toString(), "data: 1\n\n");
  assert.equal((await ask(stage, STREAM)).body.toString(), "data: 1\n\n");
});

test("Where there are no heartbeats, the first byte is the engine's", async (context) => {
  const stage = await slowStage(context, { limits: { heartbeatMs: null } });
  answersWith(stage, "data: 1\n\n");
  const reply = ask(stage, STREAM);
  await until(() => stage.desk.waiting === 1, "it waits");
  await new Promise((resolve) => void setTimeout(resolve, 50));
  await stage.bringUp("alpha");
  assert.equal((await reply).headers["content-length"], "9");
});

for (const [path, event] of [
  [
    "/v1/chat/completions",
    /\n\ndata: {"error":{"message":"out of luck","type":"server_error","param":null,"code":"start_failed"}}\n\n$/,
  ],
  [
    "/v1/messages",
    /\n\nevent: error\ndata: {"type":"error","error":{"type":"api_error","message":"out of luck"},"request_id":"r1"}\n\n$/,
  ],
] as const) {
  test(`A load that fails after the first beat of ${path} is an error event and an abrupt end`, async (context) => {
    const stage = await slowStage(context);
    const heard = listen(await open(stage, { ...STREAM, path, headers: { "x-request-id": "r1" } }));
    await until(() => heard.text !== "", "a beat");
    stage.scheduler.onWakeFailed("alpha", failure("start_failed", "out of luck"), stage.nowMs);
    assert.equal(await heard.ended, "cut");
    assert.match(heard.text, event);
    await until(() => stage.access.length === 1, "the record");
    assert.deepEqual([stage.access[0]?.status, stage.access[0]?.outcome], [503, "failed"]);
  });
}

test("A load that fails before the first beat is a plain 503", async (context) => {
  const stage = await slowStage(context, { limits: { heartbeatMs: 60_000 } });
  const reply = ask(stage, STREAM);
  await until(() => stage.desk.waiting === 1, "it waits");
  stage.scheduler.onWakeFailed("alpha", failure("start_failed", "out of luck"), stage.nowMs);
  assert.equal((await reply).status, 503);
});

for (const [what, status, type, body, event, recorded] of [
  [
    "its own error",
    400,
    "application/json",
    '{"error":{"message":"no such\\ntool"}}',
    /data: {"error":{"message":"no such\\ntool"}}\n\n$/,
    "served",
  ],
  [
    "an error that is none",
    418,
    "text/plain",
    "teapot",
    /data: {"error":{"message":"The engine of model alpha answered 418 .*"code":"engine_unreachable"}}\n\n$/,
    "served",
  ],
  [
    "no stream",
    200,
    "application/json",
    '{"error":1}',
    /data: {"error":{"message":"The engine of model alpha answered 200 .*"}}\n\n$/,
    "failed",
  ],
  [
    "a long error",
    500,
    "text/plain",
    "x".repeat(100_000),
    /data: {"error":{"message":"The engine of model alpha answered 500 .*"}}\n\n$/,
    "failed",
  ],
] as const) {
  test(`When the engine then answers with ${what}, that is the last event, and no raw body`, async (context) => {
    const stage = await slowStage(context);
    stage.engine("alpha").handler = (response) => {
      response.writeHead(status, { "content-type": type });
      response.end(body);
    };
    const heard = listen(await open(stage, STREAM));
    await until(() => heard.text !== "", "a beat");
    await stage.bringUp("alpha");
    assert.equal(await heard.ended, "cut");
    assert.match(heard.text, event);
    assert.equal(withoutBeats(heard.text).match(/^data: /gm)?.length, 1);
    await until(() => stage.access.length === 1, "the record");
    assert.deepEqual([stage.access[0]?.status, stage.access[0]?.outcome], [status, recorded]);
  });
}

test("An engine that dies before its first byte is tried again although beats have gone out", async (context) => {
  const stage = await slowStage(context, { limits: { heartbeatMs: 15, crashNoticeMs: 60_000 } });
  const engine = stage.engine("alpha");
  engine.handler = (response) => {
    if (engine.lives === 1) return stage.crash("alpha");
    response.writeHead(200, { "content-type": "text/event-stream" });
    return response.end("data: 1\n\n");
  };
  const heard = listen(await open(stage, STREAM));
  await stage.bringUp("alpha");
  await until(() => stage.asked.length === 3, "the second start");
  const before = heard.text.length;
  await until(() => heard.text.length > before, "beats go on");
  await stage.bringUp("alpha");
  assert.equal(await heard.ended, "whole");
  assert.equal(withoutBeats(heard.text), "data: 1\n\n");
});

test("A stream whose engine has broken the connection hears beats until it is known why, and again in the queue", async (context) => {
  const stage = await createStage(context, { limits: { heartbeatMs: 15, crashNoticeMs: 60_000 } });
  const engine = stage.engine("alpha");
  await engine.start();
  engine.handler = (response) => {
    if (engine.lives === 2)
      return void response.writeHead(200, { "content-type": "text/event-stream" }).end("data: 1\n\n");
    // Longer than an interval: who asks an engine that is awake is promised nothing.
    return void setTimeout(() => engine.die(), 50);
  };
  const answer = await open(stage, STREAM);
  assert.equal(answer.headers["x-llmux-queue-ms"], undefined);
  const heard = listen(answer);
  await until(() => (heard.text.match(/^: llmux model=alpha state="awake"\n\n/gm)?.length ?? 0) >= 2, "beats");
  stage.noticeCrash("alpha", failure("engine_crashed", "gone"));
  assert.equal(await heard.ended, "whole");
  assert.equal(withoutBeats(heard.text), "data: 1\n\n");
});

test("A stream that has heard a beat goes on to hear them while its engine is slow; one that has not hears the engine alone", async (context) => {
  const stage = await slowStage(context);
  stage.engine("alpha").handler = () => {};
  const heard = listen(await open(stage, STREAM));
  await stage.bringUp("alpha");
  await until(() => (heard.text.match(/state="awake"\n/g)?.length ?? 0) >= 3, "beats of an awake engine");
  const [slow] = stage.engine("alpha").openResponses;
  const silent = open(stage, STREAM);
  await until(() => stage.engine("alpha").openResponses.length === 2, "the second one is there");
  await new Promise((resolve) => void setTimeout(resolve, 50));
  for (const response of stage.engine("alpha").openResponses) {
    response.writeHead(response === slow ? 200 : 400, { "content-type": "text/event-stream" });
    response.end("data: 1\n\n");
  }
  assert.equal(await heard.ended, "whole");
  assert.equal(withoutBeats(heard.text), "data: 1\n\n");
  const refused = await silent;
  assert.equal(refused.statusCode, 400);
  refused.resume();
});

test("A client that leaves between two beats leaves the queue at once", async (context) => {
  const stage = await slowStage(context);
  const answer = await open(stage, STREAM);
  answer.on("error", () => {});
  answer.destroy();
  await until(() => stage.desk.waiting === 0, "nobody waits");
  await until(() => stage.access.length === 1, "the record");
  assert.equal(stage.access[0]?.outcome, "abandoned");
});

test("OpenAI's own client takes heartbeats for what they are, and the error for an error", async (context) => {
  const stage = await slowStage(context);
  const client = new OpenAI({ baseURL: `http://127.0.0.1:${stage.port}/v1`, apiKey: "x", maxRetries: 0 });
  answersWith(stage, 'data: {"choices":[{"delta":{"content":"ä"}}]}\n\ndata: [DONE]\n\n');
  const begin = (): Promise<AsyncIterable<{ readonly choices: readonly { delta: { content?: string | null } }[] }>> =>
    client.chat.completions.create({ model: "alpha", messages: [], stream: true });
  const stream = await begin();
  setTimeout(() => void stage.bringUp("alpha"), 40);
  const pieces = [];
  for await (const chunk of stream) pieces.push(chunk.choices[0]?.delta.content);
  assert.deepEqual(pieces, ["ä"]);
  stage.crash("alpha");
  await until(() => stage.asked.includes("stop alpha"), "the end");
  const broken = await begin();
  setTimeout(() => stage.scheduler.onWakeFailed("alpha", failure("start_failed", "out of luck"), stage.nowMs), 40);
  await assert.rejects(async () => {
    for await (const chunk of broken) assert.fail(JSON.stringify(chunk));
  }, /out of luck/);
});
