/** API keys at the gateway: who comes in, to which models, and how often. */
import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { createKey, hashOfKey } from "../base/api-key.ts";
import { Doorkeeper, type ApiKey } from "./doorkeeper.ts";
import { ask, chat, json, open, type Question } from "./testing/client.ts";
import { createStage, MODELS, realClock, until, type Stage } from "./testing/stage.ts";

const KEY = createKey();
const OTHER_KEY = createKey();
const bearer = { authorization: `Bearer ${KEY}` };

function apiKey(more: Partial<ApiKey> = {}): ApiKey {
  const unlimited = { models: null, requestsPerMinute: null, inFlightMax: null, priority: null };
  return { name: "one", hash: hashOfKey(KEY), ...unlimited, ...more };
}

function stageWith(context: TestContext, ...apiKeys: readonly ApiKey[]): Promise<Stage> {
  return createStage(context, { apiKeys });
}

const get = (path: string, headers: Record<string, string> = {}): Question => {
  return { method: "GET", path, body: null, headers };
};

test("Without a key nothing is had but /health, and no path tells whether it exists", async (context) => {
  const stage = await stageWith(context, apiKey());
  const refused: Question[] = [
    {},
    { headers: { authorization: `Bearer ${OTHER_KEY}` } },
    { headers: { authorization: `Basic ${KEY}` } },
    { headers: { authorization: KEY } },
    { headers: { "api-key": KEY } },
    { headers: { cookie: KEY } },
    { path: `/v1/chat/completions?api_key=${KEY}` },
    { headers: { "x-api-key": hashOfKey(KEY) } },
    get("/v1/models"),
    get("/v1/models/alpha"),
    get("/"),
    get("/nothing/here"),
    get("/v1/chat/completions"),
    get("/healthx"),
    get("/health/"),
  ];
  for (const question of refused) {
    const reply = await ask(stage, question);
    const what = JSON.stringify(question);
    assert.equal(reply.status, 401, what);
    assert.equal(reply.headers["www-authenticate"], "Bearer", what);
    const { error } = json(reply);
    assert.deepEqual([error?.["type"], error?.["code"]], ["authentication_error", "invalid_api_key"], what);
    assert.doesNotMatch(reply.body.toString(), /sk-llmux/, what);
  }
  assert.equal((await ask(stage, get("/health"))).status, 200);
  assert.deepEqual(stage.asked, []);
  assert.ok(stage.access.every(({ key }) => key === undefined));
});

test("On Anthropic's routes the refusal has Anthropic's form", async (context) => {
  const stage = await stageWith(context, apiKey());
  const reply = await ask(stage, { path: "/v1/messages" });
  assert.equal(reply.status, 401);
  assert.equal(json(reply)["type"], "error");
  assert.equal(json(reply).error?.["type"], "authentication_error");
});

test("A key is taken from either header, also where the other one is wrong, and its name goes into the record", async (context) => {
  const stage = await stageWith(context, apiKey(), apiKey({ name: "two", hash: hashOfKey(OTHER_KEY) }));
  for (const [headers, name] of [
    [bearer, "one"],
    [{ "x-api-key": KEY }, "one"],
    [{ "x-api-key": OTHER_KEY }, "two"],
    [{ ...bearer, "x-api-key": "wrong" }, "one"],
    [{ authorization: "Bearer wrong", "x-api-key": KEY }, "one"],
  ] as const) {
    assert.equal((await ask(stage, { headers })).status, 200);
    assert.equal(stage.access.at(-1)?.key, name);
  }
});

test("No engine ever sees what a client has shown of itself", async (context) => {
  const stage = await stageWith(context, apiKey());
  const headers = {
    ...bearer,
    "x-api-key": "secret-1",
    "api-key": "secret-2",
    cookie: "session=secret-3",
    "proxy-authorization": "Basic secret-4",
    "x-goog-api-key": "secret-5",
    "x-auth-token": "secret-6",
    "x-kept": "yes",
  };
  for (const path of ["/v1/chat/completions", "/v1/messages", "/tokenize"]) {
    assert.equal((await ask(stage, { path, headers })).status, 200);
  }
  const { received } = stage.engine("alpha");
  assert.equal(received.length, 3);
  for (const request of received) {
    assert.equal(request.headers["x-kept"], "yes");
    assert.doesNotMatch(JSON.stringify(request.headers), /secret|sk-llmux|authorization|api-key|cookie|auth-token/i);
  }
});

test("A refused request with a body leaves its connection usable, or closes it", async (context) => {
  const stage = await stageWith(context, apiKey());
  const large = await ask(stage, { body: chat("alpha", { padding: "x".repeat(900_000) }) });
  assert.equal(large.status, 401);
  assert.equal((await ask(stage, { headers: bearer })).status, 200);
});

test("A key that is limited to models sees those alone, and is told 403 for another one that there is", async (context) => {
  const stage = await stageWith(context, apiKey({ models: ["org/beta"] }));
  const list = json(await ask(stage, get("/v1/models", bearer)));
  assert.deepEqual(
    (list["data"] as { id: string }[]).map(({ id }) => id),
    ["org/beta"],
  );
  assert.equal((await ask(stage, get("/v1/models/org/beta", bearer))).status, 200);
  assert.equal((await ask(stage, get("/v1/models/alpha", bearer))).status, 404);
  for (const question of [
    { body: chat("alpha") },
    { body: chat("first") },
    { body: chat("org/beta"), headers: { ...bearer, "model-override": "alpha" } },
  ]) {
    const reply = await ask(stage, { headers: bearer, ...question });
    assert.equal(reply.status, 403);
    const { error } = json(reply);
    assert.deepEqual(
      [error?.["type"], error?.["code"], error?.["param"]],
      ["permission_error", "model_not_allowed", "model"],
    );
  }
  const unknown = await ask(stage, { headers: bearer, body: chat("gamma") });
  assert.equal(unknown.status, 404);
  assert.doesNotMatch(unknown.body.toString(), /alpha|first/);
  assert.deepEqual(stage.asked, []);
  assert.equal((await ask(stage, { headers: bearer, body: chat("org/beta") })).status, 200);
});

test("A key over its rate is a 429 with the time of its next request, and others are not touched", async (context) => {
  let nowMs = 0;
  const clock = { ...realClock, nowMs: () => nowMs };
  const other = apiKey({ name: "two", hash: hashOfKey(OTHER_KEY) });
  const stage = await createStage(context, { clock, apiKeys: [apiKey({ requestsPerMinute: 2 }), other] });
  const statuses = async (count: number): Promise<readonly number[]> => {
    const found: number[] = [];
    for (let index = 0; index < count; index += 1) found.push((await ask(stage, { headers: bearer })).status);
    return found;
  };
  assert.deepEqual(await statuses(3), [200, 200, 429]);
  const reply = await ask(stage, { headers: bearer });
  assert.equal(reply.headers["retry-after"], "30");
  assert.equal(json(reply).error?.["code"], "rate_limit_exceeded");
  // What asks no engine is not counted.
  assert.equal((await ask(stage, get("/v1/models", bearer))).status, 200);
  assert.equal((await ask(stage, { headers: { "x-api-key": OTHER_KEY } })).status, 200);
  nowMs += 29_999;
  assert.deepEqual(await statuses(1), [429]);
  nowMs += 1;
  assert.deepEqual(await statuses(2), [200, 429]);
  nowMs += 3_600_000;
  assert.deepEqual(await statuses(3), [200, 200, 429]);
});

test("A key with all its requests in progress is a 429, until one of them is over, however it ends", async (context) => {
  const stage = await stageWith(context, apiKey({ inFlightMax: 2, requestsPerMinute: 5 }));
  const held: (() => void)[] = [];
  stage.engine("alpha").handler = (response) => {
    response.write("begun");
    held.push(() => response.end());
  };
  const question = { headers: bearer };
  const [first, second] = await Promise.all([open(stage, question), open(stage, question)]);
  for (const _ of [1, 2, 3, 4, 5]) {
    const reply = await ask(stage, question);
    assert.equal(reply.status, 429);
    assert.equal(reply.headers["retry-after"], "1");
    assert.equal(json(reply).error?.["code"], "too_many_in_flight");
  }
  // One is left by its client, the other one ends well; those that were refused have not been counted for the rate.
  first.destroy();
  await until(() => stage.access.some(({ outcome }) => outcome === "abandoned"), "the first is over");
  const third = await open(stage, question);
  assert.equal(third.statusCode, 200);
  assert.equal((await ask(stage, question)).status, 429);
  for (const end of held) end();
  second.resume();
  third.resume();
  await until(() => stage.access.filter(({ outcome }) => outcome === "served").length === 2, "the others are over");
  stage.engine("alpha").handler = (response) => void response.end("{}");
  assert.equal((await ask(stage, question)).status, 200);
});

test("A request that is refused for its body gives its place back", async (context) => {
  const stage = await stageWith(context, apiKey({ inFlightMax: 1 }));
  for (const body of ["no json", chat("gamma"), "", "x".repeat(1_000_001)]) {
    const { status } = await ask(stage, { headers: bearer, body });
    assert.ok(status === 400 || status === 404 || status === 413, String(status));
  }
  await until(() => stage.access.length === 4, "all are over");
  assert.equal((await ask(stage, { headers: bearer })).status, 200);
});

function doorkeeperWith(keys: readonly ApiKey[], adminKeyHash: string | null = null): Doorkeeper {
  return new Doorkeeper({ keys, adminKeyHash, models: MODELS, clock: realClock });
}

test("The operators' key is no client's key, and the other way round", () => {
  const doorkeeper = doorkeeperWith([apiKey()], hashOfKey(OTHER_KEY));
  assert.equal(doorkeeper.isOperator({ bearer: OTHER_KEY, apiKey: null }), true);
  assert.equal(doorkeeper.isOperator({ bearer: "wrong", apiKey: OTHER_KEY }), true);
  assert.equal(doorkeeper.isOperator({ bearer: KEY, apiKey: null }), false);
  assert.equal(doorkeeper.isOperator({ bearer: null, apiKey: null }), false);
  assert.equal(doorkeeper.letIn({ bearer: OTHER_KEY, apiKey: null }), null);
  // Where there is no such key, nobody has it, though clients need none.
  assert.equal(doorkeeperWith([]).isOperator({ bearer: OTHER_KEY, apiKey: "" }), false);
});

function weigh(priority: ApiKey["priority"], wanted: ApiKey["priority"]): string | undefined {
  const doorkeeper = doorkeeperWith([apiKey({ priority })]);
  return doorkeeper.letIn({ bearer: KEY, apiKey: null })?.weigh(wanted ?? undefined);
}

test("A key's priority is what its requests weigh; they can make themselves lighter, and not heavier", () => {
  assert.equal(weigh(null, null), undefined);
  assert.equal(weigh(null, "high"), "high");
  assert.equal(weigh("normal", null), "normal");
  assert.equal(weigh("normal", "high"), "normal");
  assert.equal(weigh("normal", "low"), "low");
  assert.equal(weigh("low", "high"), "low");
  assert.equal(weigh("high", "normal"), "normal");
});
