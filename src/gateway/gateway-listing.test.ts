import assert from "node:assert/strict";
import { test } from "node:test";
import { ask, json } from "./testing/client.ts";
import { createStage, MODELS, Stage } from "./testing/stage.ts";

const get = (path: string): { method: string; path: string; body: null } => ({ method: "GET", path, body: null });

test("GET /v1/models lists every model with its state, twice the same, and wakes none", async (context) => {
  const stage = await createStage(context);
  const reply = await ask(stage, get("/v1/models"));
  assert.equal(reply.status, 200);
  const { object, data }: { object: string; data: { created: number }[] } = JSON.parse(reply.body.toString());
  assert.equal(object, "list");
  const created = data[0]?.created;
  assert.ok(Number.isInteger(created));
  assert.deepEqual(
    data,
    MODELS.map(({ id, aliases }) => {
      return { id, object: "model", created, owned_by: "llmux", aliases, status: "stopped" };
    }),
  );
  assert.deepEqual((await ask(stage, get("/v1/models?limit=5"))).body, reply.body);
  assert.deepEqual(stage.asked, []);
  await ask(stage);
  const after = json(await ask(stage, get("/v1/models/alpha")));
  assert.equal(after["status"], "awake");
});

test("GET /v1/models/{id} finds ids with slashes, written either way, and aliases", async (context) => {
  const stage = await createStage(context);
  for (const [name, id] of [
    ["alpha", "alpha"],
    ["first", "alpha"],
    ["org/beta", "org/beta"],
    ["org%2Fbeta", "org/beta"],
    ["org%2fbeta", "org/beta"],
  ] as const) {
    const reply = await ask(stage, get(`/v1/models/${name}`));
    assert.equal(reply.status, 200, name);
    assert.equal(json(reply)["id"], id);
  }
  for (const name of ["", "gamma", "alpha/", "%zz", "ALPHA"]) {
    const reply = await ask(stage, get(`/v1/models/${name}`));
    assert.equal(reply.status, 404, name);
    assert.equal(json(reply).error?.["code"], "model_not_found");
  }
  assert.deepEqual(stage.asked, []);
});

test("GET /health and GET / answer, also to HEAD, and health says when a shutdown has begun", async (context) => {
  const stage = await createStage(context);
  for (const path of ["/health", "/", "/v1/models"]) {
    const got = await ask(stage, get(path));
    assert.equal(got.status, 200);
    const head = await ask(stage, { ...get(path), method: "HEAD" });
    assert.equal(head.status, 200);
    assert.equal(head.headers["content-length"], String(got.body.length));
    assert.equal(head.body.length, 0);
  }
  assert.deepEqual(stage.asked, []);
  stage.scheduler.onShutdown(0, stage.nowMs);
  assert.equal((await ask(stage, get("/health"))).status, 503);
});

test("An address that is taken is an error that names it", async (context) => {
  const stage = await createStage(context);
  const second = new Stage({});
  await assert.rejects(second.gateway.listen("127.0.0.1", stage.port), {
    message: `cannot listen on 127.0.0.1:${stage.port}: something else listens there already (EADDRINUSE); choose another port`,
  });
});
