/** Models that take turns: in which order, who waits for whom, and that nobody is starved or mixed up. */
import assert from "node:assert/strict";
import { scenario } from "./support/scenario.ts";

const SLOW = { mock: { itl_ms: 20 } };

scenario("interleaved requests for three cold models cause three switches in all", {}, async ({ client, log }) => {
  const names = Array.from({ length: 64 }, (_, request) => "abc".charAt(request % 3));
  const replies = await Promise.all(names.map((name) => client.ask(name)));
  assert.deepEqual(new Set(replies.map(({ status }) => status)), new Set([200]));
  assert.equal(new Set(replies.map(({ text }) => text)).size, 3);
  assert.equal(log.all("switch started").length, 3);
  assert.equal(log.all("engine starting").length, 3);
});

scenario(
  "under a steady stream of requests for one model another one is served, and the first goes on",
  {
    models: { a: { mock: { itl_ms: 5 } }, b: {} },
  },
  async ({ client, log }) => {
    const over = new AbortController();
    const tally = { served: 0 };
    const steady = async (): Promise<void> => {
      while (!over.signal.aborted) {
        const reply = await client.ask("a");
        assert.equal(reply.status, 200);
        tally.served += 1;
      }
    };
    await client.ask("b");
    await client.ask("a");
    const clients = Promise.all([steady(), steady(), steady(), steady()]);
    for (let round = 1; round <= 3; round += 1) {
      const before = tally.served;
      assert.equal((await client.ask("b")).status, 200);
      // Each of the four may have one request on its way when b comes, and no more get in before b has had its turn.
      assert.ok(tally.served - before <= 8, `${tally.served - before} requests for a went before the one for b`);
      const servedAtB = tally.served;
      while (tally.served < servedAtB + 8) await client.ask("a");
    }
    over.abort();
    await clients;
    assert.equal(log.all("switch ended", { from: "a", to: "b" }).length, 3);
  },
);

scenario(
  "by default, under bounded wait, a busy model and one that is asked now and then are both served, and neither for nothing",
  {
    // Nothing is said of the policy itself.
    policy: { policy_type: undefined, min_active_secs: undefined, target_wait_secs: 1, max_wait_secs: 3 },
    models: { a: { mock: { itl_ms: 10 } }, b: {} },
    costs: { a: { startMs: 500, wakeMs: 50 }, b: { startMs: 500, wakeMs: 50 } },
  },
  async ({ client, log }) => {
    const over = new AbortController();
    const steady = async (): Promise<void> => {
      while (!over.signal.aborted) assert.equal((await client.ask("a")).status, 200);
    };
    const clients = Promise.allSettled([1, 2, 3, 4].map(steady));
    await log.until("model awake", { model: "a" });
    for (let round = 1; round <= 3; round += 1) {
      const reply = await client.ask("b");
      assert.equal(reply.status, 200);
      // The bound, and the drain and the switches of less than a second each that come on top of it.
      assert.ok(reply.tookMs < 8_000, `it waited ${reply.tookMs} ms`);
    }
    over.abort();
    for (const { status } of await clients) assert.equal(status, "fulfilled");
    // Each visit is a whole one: between two of them a has served more than those who waited when it came.
    assert.ok(log.all("lease released", { model: "a", outcome: "served" }).length > 12);
    assert.equal(log.all("switch ended", { to: "b" }).length, 3);
  },
);

scenario(
  "a model serves at least min_active_secs, new requests included, before it has to leave",
  {
    policy: { min_active_secs: 1 },
  },
  async ({ client, log }) => {
    await client.ask("a");
    const forB = client.ask("b");
    await log.until("waiter queued", { model: "b" });
    assert.equal((await client.ask("a")).status, 200);
    assert.equal((await forB).status, 200);
    const awakeAt = Date.parse((await log.until("model awake", { model: "a" })).time);
    const leavesAt = Date.parse((await log.until("switch started", { to: "b" })).time);
    assert.ok(leavesAt - awakeAt >= 950, `a had to leave after ${leavesAt - awakeAt} ms`);
    assert.deepEqual(log.all("waiter queued", { model: "a", depth: 1 }).length, 1);
  },
);

scenario(
  "a running stream ends before its model leaves, and new requests for that model wait for its next turn",
  {
    models: { a: SLOW, b: {} },
  },
  async ({ client, log }) => {
    const stream = await client.stream("a", { tokens: 50 });
    await stream.begun();
    const forB = client.ask("b");
    await log.until("model draining", { model: "a" });
    const since = log.now;
    const late = client.ask("a");
    await log.until("waiter queued", { model: "a", depth: 1 }, since);
    assert.equal(await stream.ended, "complete");
    assert.equal(stream.pieces, 50);
    assert.equal((await forB).status, 200);
    assert.equal((await late).status, 200);
    const order = log.events
      .filter(({ event, model }) => event === "model awake" || (event === "lease released" && model === "a"))
      .map(({ event, model }) => `${event} ${String(model)}`);
    // The log may be a moment behind.
    assert.deepEqual(order.slice(0, 4), ["model awake a", "lease released a", "model awake b", "model awake a"]);
  },
);

for (const [what, policy] of [
  ["drain_timeout_secs is over", { drain_timeout_secs: 0.5 }],
  ["there is no drain (drain_before_switch: false)", { drain_before_switch: false }],
] as const) {
  scenario(
    `a stream is broken off with an error event when ${what}, and the other model is served`,
    {
      models: { a: SLOW, b: {} },
      policy,
    },
    async (stage) => {
      const stream = await stage.client.stream("a", { tokens: 5_000 });
      await stream.begun();
      assert.equal((await stage.client.ask("b")).status, 200);
      assert.equal(await stream.ended, "broken off");
      assert.equal(stream.error?.code, "drain_timeout");
      assert.equal((await stage.client.ask("a")).status, 200);
    },
  );
}

for (const level of [1, 2, 3] as const) {
  scenario(
    `a model says the same after each wake from level ${level}`,
    {
      models: { a: { sleep_level: level }, b: { sleep_level: level } },
    },
    async (stage) => {
      const first = { a: await stage.client.ask("a"), b: await stage.client.ask("b") };
      assert.notEqual(first.a.text, first.b.text);
      for (let round = 1; round <= 2; round += 1) {
        for (const name of ["a", "b"] as const) {
          const reply = await stage.client.ask(name);
          assert.equal(reply.status, 200);
          assert.equal(reply.text, first[name].text);
          const { state, level: now } = await stage.model(name === "a" ? "b" : "a");
          assert.deepEqual([state, now], level === 3 ? ["stopped", null] : ["asleep", level]);
        }
      }
      assert.equal(stage.log.all("engine starting").length, level === 3 ? 6 : 2);
    },
  );
}

const ONE_EACH = ["--gpu-memory-utilization", "0.8"];

scenario(
  "models on different GPUs do not wait for each other",
  {
    gpus: "0:8GiB,1:8GiB",
    models: { a: { gpus: [0] }, b: { gpus: [0] }, c: { gpus: [1], mock: { itl_ms: 10 } } },
  },
  async ({ client, log }) => {
    const stream = await client.stream("c", { tokens: 5_000 });
    await stream.begun();
    for (const name of ["a", "b", "a", "b"]) assert.equal((await client.ask(name)).status, 200);
    const { pieces } = stream;
    assert.equal((await client.ask("a")).status, 200);
    assert.equal((await client.ask("c")).status, 200);
    assert.ok(stream.pieces > pieces, "the stream on the other GPU has gone on");
    stream.leave();
    await log.until("lease released", { model: "c", outcome: "abandoned" });
    assert.deepEqual(log.all("model draining", { model: "c" }), []);
  },
);

scenario(
  "cold models on different GPUs start side by side",
  {
    gpus: "0:8GiB,1:8GiB",
    models: { a: { gpus: [0], mock: { load_ms: 600 } }, b: { gpus: [1], mock: { load_ms: 600 } } },
  },
  async ({ client, log }) => {
    const replies = await Promise.all([client.ask("a"), client.ask("b")]);
    assert.deepEqual(
      replies.map(({ status }) => status),
      [200, 200],
    );
    const order = log.events
      .filter(({ event }) => event === "engine starting" || event === "model awake")
      .map(({ event }) => event);
    assert.deepEqual(order, ["engine starting", "engine starting", "model awake", "model awake"]);
  },
);

scenario(
  "a model that spans two GPUs makes everybody on both of them leave, and they come back",
  {
    gpus: "0:8GiB,1:8GiB",
    models: { a: { gpus: [0] }, b: { gpus: [1] }, c: { extra_args: [...ONE_EACH, "--tensor-parallel-size", "2"] } },
  },
  async (stage) => {
    const names = ["a", "b", "c", "a", "b", "c"];
    for (const name of names) assert.equal((await stage.client.ask(name)).status, 200);
    assert.deepEqual((await stage.status()).active, ["c"]);
    await Promise.all([...names, ...names].map((name) => stage.client.ask(name)));
  },
);
