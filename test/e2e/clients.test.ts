/** What clients may do and see: streams, leaving, names, paths; and what never reaches an engine. */
import assert from "node:assert/strict";
import OpenAI, { NotFoundError } from "openai";
import { controlSocketPath } from "../../src/base/state-files.ts";
import { operateModel } from "../../src/control/control-client.ts";
import { until } from "../support/until.ts";
import { scenario } from "./support/scenario.ts";

const SLOW = { mock: { itl_ms: 20 } };

scenario(
  "a client that leaves in the middle of its stream is noticed by the engine, and its lease comes back",
  {
    models: { a: SLOW, b: {} },
  },
  async (stage) => {
    const stream = await stage.client.stream("a", { tokens: 5_000 });
    await stream.begun();
    assert.equal((await stage.model("a")).in_flight, 1);
    stream.leave();
    await stage.log.until("lease released", { model: "a", outcome: "abandoned" });
    assert.equal((await stage.model("a")).in_flight, 0);
    await until("the engine has stopped working on it", async () => {
      const { running, decoding, "client gone": gone } = await stage.requestCounts("a");
      return running === 0 && decoding === 0 && gone === 1;
    });
    assert.equal((await stage.client.ask("b")).status, 200);
  },
);

scenario(
  "a client that leaves before its answer has begun is noticed by the engine, and its lease comes back",
  {
    models: { a: { mock: { ttft_ms: 30_000 } } },
  },
  async (stage) => {
    const leaving = new AbortController();
    const left = stage.client.ask("a", {}, leaving.signal);
    await stage.log.until("waiter let in", { model: "a" });
    await until("the engine works on it", async () => (await stage.requestCounts("a"))["running"] === 1);
    leaving.abort();
    await assert.rejects(left);
    await stage.log.until("lease released", { model: "a", outcome: "abandoned" });
    await until("the engine has stopped working on it", async () => (await stage.requestCounts("a"))["running"] === 0);
  },
);

scenario(
  "when the only client of a model leaves during the drain for it, the other model just goes on",
  {
    models: { a: SLOW, b: {} },
  },
  async ({ client, log }) => {
    const stream = await client.stream("a", { tokens: 60 });
    await stream.begun();
    const leaving = new AbortController();
    const left = client.ask("b", {}, leaving.signal);
    await log.until("model draining", { model: "a" });
    const waiting = client.ask("a");
    await log.until("waiter queued", { model: "a", depth: 1 });
    leaving.abort();
    await assert.rejects(left);
    await log.until("drain called off", { model: "a" });
    assert.equal((await waiting).status, 200);
    assert.equal(await stream.ended, "complete");
    assert.equal(stream.pieces, 60);
    assert.deepEqual(log.all("engine starting", { model: "b" }), []);
  },
);

scenario(
  "a model answers to its aliases, and the header model-override comes before the body",
  {
    models: { a: { aliases: ["gpt-4o-mini", "vendor/small"] }, b: {} },
  },
  async ({ client }) => {
    const a = await client.ask("a");
    for (const alias of ["gpt-4o-mini", "vendor/small"]) {
      const reply = await client.ask(alias);
      assert.equal(reply.status, 200);
      assert.equal(reply.text, a.text);
    }
    const b = await client.ask("b");
    assert.notEqual(b.text, a.text);
    const overridden = await client.ask("a", { headers: { "model-override": "b" } });
    // The engine is asked for `a` in the body, which it does not serve: it was b's.
    assert.equal(overridden.status, 404);
    assert.match(overridden.error?.message ?? "", /`?a`? does not exist/);
  },
);

scenario("what needs no engine wakes none: models, health, an unknown name", {}, async ({ client, log }) => {
  const list = JSON.parse((await client.call("GET", "/v1/models")).body) as { data: { id: string }[] };
  assert.deepEqual(
    list.data.map(({ id }) => id),
    ["a", "b", "c"],
  );
  assert.equal((await client.call("GET", "/health")).status, 200);
  assert.equal((await client.call("GET", "/v1/models/b")).status, 200);
  const unknown = await client.ask("gpt-17");
  assert.equal(unknown.status, 404);
  assert.equal(unknown.error?.code, "model_not_found");
  assert.match(unknown.error.message, /`a`, `b`, `c`/);
  assert.deepEqual(log.all("engine starting"), []);
});

scenario("the engines' own control routes cannot be reached through the gateway", {}, async (stage) => {
  await stage.client.ask("a");
  const before = await stage.requestCounts("a");
  for (const path of [
    "/sleep?level=1",
    "/sleep",
    "/wake_up",
    "/is_sleeping",
    "/collective_rpc",
    "/reset_prefix_cache",
    "/mock/faults",
    "/mock/state",
    "/metrics",
    "/server_info",
    "/v1/load_lora_adapter",
    "//sleep?level=1",
    "/v1/../sleep?level=1",
    "/v1/chat/completions/../../../sleep?level=1",
    "/%73leep?level=1",
  ]) {
    for (const method of ["GET", "POST"] as const) {
      const answer = await stage.client.call(method, path, method === "POST" ? { model: "a" } : undefined);
      assert.equal(answer.status, 404, `${method} ${path}`);
      assert.equal((JSON.parse(answer.body) as { error: { code: string } }).error.code, "route_not_found");
    }
  }
  const { origin } = await stage.engine("a");
  assert.deepEqual(await (await fetch(`${origin}/is_sleeping`)).json(), { is_sleeping: false });
  assert.deepEqual(await stage.requestCounts("a"), before);
});

scenario("OpenAI's own client gets answers and streams from models that take turns", {}, async ({ port }) => {
  const openai = new OpenAI({ baseURL: `http://127.0.0.1:${port}/v1`, apiKey: "none", maxRetries: 0 });
  const ask = { messages: [{ role: "user", content: "Hello!" }], temperature: 0, seed: 42, max_tokens: 12 } as const;
  for (const model of ["a", "b", "a"]) {
    const whole = await openai.chat.completions.create({ ...ask, messages: [...ask.messages], model });
    const stream = await openai.chat.completions.create({ ...ask, messages: [...ask.messages], model, stream: true });
    let text = "";
    for await (const chunk of stream) text += chunk.choices[0]?.delta.content ?? "";
    assert.ok(text.length > 0);
    assert.equal(text, whole.choices[0]?.message.content);
  }
  const { data } = await openai.models.list();
  assert.deepEqual(
    data.map(({ id }) => id),
    ["a", "b", "c"],
  );
  await assert.rejects(
    openai.chat.completions.create({ ...ask, messages: [...ask.messages], model: "gpt-17" }),
    NotFoundError,
  );
});

scenario(
  "while one model's engine takes its time to stop, or is being started, everybody else is served",
  {
    gpus: "0:8GiB,1:8GiB",
    models: { a: { gpus: [0] }, b: { gpus: [1], mock: { itl_ms: 10 } }, c: { gpus: [0], mock: { load_ms: 1_500 } } },
    engine_timeouts: { stop_grace_secs: 2 },
  },
  async (stage) => {
    const { client, log, stateDir } = stage;
    stage.order("a", { "ignore-sigterm": true });
    assert.equal((await client.ask("a")).status, 200);
    const stream = await client.stream("b", { tokens: 5_000 });
    await stream.begun();
    await operateModel(controlSocketPath(stateDir), "a", "stop");
    await log.until("engine stopping", { model: "a" });
    const cold = client.ask("c");
    const seen = stream.pieces;
    for (let round = 0; round < 5; round += 1) assert.equal((await client.ask("b")).status, 200);
    assert.equal((await client.call("GET", "/v1/models")).status, 200);
    assert.deepEqual(log.all("engine stopped", { model: "a" }), [], "the engine of a is still being stopped");
    await until("the stream has gone on", () => stream.pieces > seen);
    assert.equal((await cold).status, 200);
    assert.ok(log.all("engine stopped", { model: "a" }).length > 0);
    stream.leave();
  },
);

scenario(
  "a client that waits for a stream hears how far its model has come, and then the answer whole",
  {
    models: { a: { mock: { load_ms: 3_000 } } },
    top: { heartbeat_secs: 0.2 },
  },
  async (stage) => {
    const question = { model: "a", prompt: "Hello", max_tokens: 8, stream: true };
    const { status, body } = await stage.client.call("POST", "/v1/completions", question);
    assert.equal(status, 200);
    const [first = "", ...events] = body.split("\n\n");
    assert.match(first, /^: llmux .*\bstate="?(stopped|starting)/);
    const answer = events.filter((event) => !event.startsWith(":"));
    assert.ok(
      answer.every((event) => event === "" || event.startsWith("data: ")),
      body,
    );
    assert.equal(answer.at(-2), "data: [DONE]");
    assert.ok(
      body.indexOf(": llmux", body.indexOf("data: ")) === -1,
      "nothing of ours comes after the engine's first byte",
    );
  },
);
