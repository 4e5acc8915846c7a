import assert from "node:assert/strict";
import { test } from "node:test";
import { failure } from "../base/failure.ts";
import { ask, chat, json } from "./testing/client.ts";
import { createStage, until } from "./testing/stage.ts";

const LAST_WORD = '{"error":{"message":"EngineCore encountered an issue.","code":500}}';

test("A 500 of an engine that is not healthy any more is kept back, and the next life serves the request", async (context) => {
  const stage = await createStage(context, { limits: { crashNoticeMs: 60_000 } });
  const engine = stage.engine("alpha");
  engine.handler = (response, received) => {
    if (engine.lives > 1) return response.end(received.body);
    engine.healthStatus = 503;
    response.writeHead(500, { "content-type": "application/json" });
    response.end(LAST_WORD);
    return setTimeout(() => stage.crash("alpha"), 20);
  };
  const reply = await ask(stage);
  assert.equal(reply.status, 200);
  assert.equal(reply.body.toString(), chat("alpha"));
  assert.equal(engine.received.length, 2);
});

test("A request that makes each life of its engine say 500 and die ends with 502", async (context) => {
  const stage = await createStage(context, { limits: { crashNoticeMs: 60_000 } });
  const engine = stage.engine("alpha");
  engine.healthStatus = 503;
  engine.handler = (response) => {
    response.writeHead(500, { "content-type": "application/json" });
    response.end(LAST_WORD);
    return setTimeout(() => stage.crash("alpha"), 20);
  };
  const reply = await ask(stage);
  assert.equal(reply.status, 502);
  assert.equal(engine.received.length, 2);
});

test("An engine that says 500, is not healthy and does not end is given up after a while, with 502", async (context) => {
  const stage = await createStage(context, { limits: { crashNoticeMs: 50 } });
  const engine = stage.engine("alpha");
  engine.healthStatus = 503;
  engine.handler = (response) => response.writeHead(500).end(LAST_WORD);
  const reply = await ask(stage);
  assert.equal(reply.status, 502);
  assert.equal((json(reply) as { error: { code: string } }).error.code, "engine_unreachable");
});

test("A crash that is known before the engine has said how it is counts once", async (context) => {
  const stage = await createStage(context, { limits: { crashNoticeMs: 60_000 } });
  const engine = stage.engine("alpha");
  engine.handler = (response, received) => {
    if (engine.lives > 1) return response.end(received.body);
    response.writeHead(500).end(LAST_WORD);
    engine.die();
    return stage.noticeCrash("alpha", failure("engine_crashed", "killed"));
  };
  assert.equal((await ask(stage)).status, 200);
});

test("A long 500 is passed on, whatever the engine's health", async (context) => {
  const stage = await createStage(context);
  const engine = stage.engine("alpha");
  const long = "x".repeat(200_000);
  engine.healthStatus = 503;
  engine.handler = (response) => response.writeHead(500).end(long);
  const reply = await ask(stage);
  assert.equal(reply.status, 500);
  assert.equal(reply.body.toString(), long);
  await until(() => stage.access.length === 1, "the end");
  assert.equal(stage.access[0]?.outcome, "failed");
});
