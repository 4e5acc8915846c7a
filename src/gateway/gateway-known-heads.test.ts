/** Requests of one connection that begin with the same head: what is known of it is the same, and nothing else. */
import assert from "node:assert/strict";
import { Agent } from "node:http";
import { test, type TestContext } from "node:test";
import { createKey, hashOfKey } from "../base/api-key.ts";
import type { ApiKey } from "./doorkeeper.ts";
import { ask, chat, RawClient, type Question, type Reply } from "./testing/client.ts";
import { createStage, until, type Stage, type StageOptions } from "./testing/stage.ts";

const KEY = createKey();
const UNLIMITED = { models: null, requestsPerMinute: null, inFlightMax: null, priority: null };

function apiKey(more: Partial<ApiKey> = {}): ApiKey {
  return { name: "one", hash: hashOfKey(KEY), ...UNLIMITED, ...more };
}

/** A client with one connection, which it keeps. */
async function keeper(
  context: TestContext,
  options?: StageOptions,
): Promise<{ readonly stage: Stage; readonly say: (question?: Question) => Promise<Reply> }> {
  const stage = await createStage(context, options);
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  context.after(() => agent.destroy());
  return { stage, say: (question = {}) => ask(stage, { agent, ...question }) };
}

function withKey(key: string, body?: string): Question {
  return { headers: { authorization: `Bearer ${key}` }, ...(body === undefined ? {} : { body }) };
}

test("Another key on the same connection is another guest, or none, and the first one is still the first", async (context) => {
  const other = createKey();
  const { stage, say } = await keeper(context, {
    apiKeys: [apiKey(), apiKey({ name: "two", hash: hashOfKey(other), models: ["org/beta"] })],
  });
  const wrong = `${KEY.slice(0, -1)}${KEY.endsWith("A") ? "B" : "A"}`;
  const said: [string, number, string | undefined][] = [
    [KEY, 200, "one"],
    [KEY, 200, "one"],
    [wrong, 401, undefined],
    [wrong, 401, undefined],
    [other, 403, "two"],
    [KEY, 200, "one"],
    [other, 403, "two"],
    [other, 403, "two"],
  ];
  for (const [key, status] of said) assert.equal((await say(withKey(key))).status, status);
  assert.deepEqual(
    stage.access.map(({ status, key }) => [status, key]),
    said.map(([, status, name]) => [status, name]),
  );
});

test("Each request counts against the limits of its key", async (context) => {
  const { say } = await keeper(context, { apiKeys: [apiKey({ requestsPerMinute: 3 })] });
  const statuses: number[] = [];
  for (let count = 0; count < 5; count += 1) statuses.push((await say(withKey(KEY))).status);
  assert.deepEqual(statuses, [200, 200, 200, 429, 429]);
});

test("Each body is its own: its length, its model, and whether it is too long", async (context) => {
  const { stage, say } = await keeper(context, { bodyBytesMax: 1_000 });
  const bodies = [chat("alpha"), chat("org/beta"), chat("alpha", { user: "x".repeat(800) }), chat("first")];
  for (const body of bodies) {
    assert.equal((await say({ body })).status, 200);
    const engine = stage.engine(body === bodies[1] ? "org/beta" : "alpha");
    assert.equal(engine.received.at(-1)?.body.toString(), body);
  }
  assert.equal((await say({ body: chat("alpha", { user: "x".repeat(1_000) }) })).status, 413);
  assert.equal((await say()).status, 200);
});

test("A body that is announced to be too long is refused before it comes", async (context) => {
  const stage = await createStage(context, { bodyBytesMax: 1_000 });
  const client = await RawClient.open(stage);
  client.send("POST", "/v1/chat/completions", chat("alpha"));
  await until(() => client.received.includes("200 OK"), "the first answer");
  client.socket.write("POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 1001\r\n\r\n");
  await until(() => client.received.includes("413 Payload Too Large"), "the refusal");
  client.socket.destroy();
});

test("Each request has an id of its own, unless its client has given it one", async (context) => {
  const { stage, say } = await keeper(context);
  const engine = stage.engine("alpha");
  const ids = new Set<unknown>();
  for (let count = 0; count < 3; count += 1) {
    const { headers } = await say();
    assert.equal(engine.received.at(-1)?.headers["x-request-id"], headers["x-request-id"]);
    ids.add(headers["x-request-id"]);
  }
  assert.equal(ids.size, 3);
  for (const id of ["a", "a", "b"]) {
    assert.equal((await say({ headers: { "x-request-id": id } })).headers["x-request-id"], id);
    assert.equal(engine.received.at(-1)?.headers["x-request-id"], id);
  }
});

test("The engine gets the same headers each time", async (context) => {
  const { stage, say } = await keeper(context);
  const headers = { "content-type": "application/json", "x-a": "1", "model-override": "org/beta", cookie: "secret" };
  for (let count = 0; count < 3; count += 1) await say({ headers });
  const [first, ...others] = stage.engine("org/beta").received.map((received) => received.headers);
  for (const one of others) one["x-request-id"] = first?.["x-request-id"];
  assert.equal(first?.["x-a"], "1");
  assert.equal(first?.cookie, undefined);
  assert.deepEqual(others, [first, first]);
});

test("A response is asked for where it was made last", async (context) => {
  const { stage, say } = await keeper(context);
  for (const model of ["alpha", "org/beta"]) {
    const engine = stage.engine(model);
    engine.handler = (response) => {
      response.setHeader("content-type", "application/json");
      response.end(`{"id":"resp_1","made_by":"${model}"}`);
    };
    // By another client: the one who keeps its connection says nothing but the same.
    assert.equal((await ask(stage, { path: "/v1/responses", body: chat(model) })).status, 200);
    for (let count = 0; count < 2; count += 1) {
      const reply = await say({ method: "GET", path: "/v1/responses/resp_1", body: null });
      assert.match(reply.body.toString(), new RegExp(`"made_by":"${model}"`));
    }
  }
});
