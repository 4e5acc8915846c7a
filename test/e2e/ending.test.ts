/** llmux that is told to end, at every moment: what clients see, that it ends in good order, and that nobody is left. */
import assert from "node:assert/strict";
import type { Reply } from "./support/client.ts";
import { scenario } from "./support/scenario.ts";
import type { Stage } from "./support/stage.ts";

type During = "starting" | "falling asleep" | "waking";

const ARRIVE: Readonly<Record<During, (stage: Stage) => Promise<{ readonly reply: Promise<Reply> }>>> = {
  async starting({ client, log }) {
    const reply = client.ask("a");
    await log.until("engine progress", { model: "a", stage: "loading weights" });
    return { reply };
  },
  async "falling asleep"({ client, log }) {
    await client.ask("b");
    const reply = client.ask("c");
    await log.until("model falling asleep", { model: "b" });
    return { reply };
  },
  async waking({ client, log }) {
    await client.ask("d");
    await client.ask("c");
    const reply = client.ask("d");
    await log.until("model waking", { model: "d" });
    return { reply };
  },
};

const SLOW_EACH = {
  models: {
    a: { mock: { load_ms: 10_000 } },
    b: { mock: { sleep_ms: 8_000 } },
    c: {},
    d: { mock: { wake_ms: 8_000 } },
  },
};

for (const during of ["starting", "falling asleep", "waking"] as const) {
  scenario(
    `SIGTERM while an engine is ${during} ends it at once, and who waits is told so`,
    SLOW_EACH,
    async (stage) => {
      const { reply } = await ARRIVE[during](stage);
      const beganAtMs = performance.now();
      const exit = await stage.llmux.end("SIGTERM");
      assert.deepEqual(exit, { code: 0, signal: null });
      assert.ok(performance.now() - beganAtMs < 6_000, "it has waited for the transition");
      const refused = await reply;
      assert.equal(refused.status, 503);
      assert.equal(refused.error?.code, "shutting_down");
      assert.equal(refused.headers["retry-after"], "5");
    },
  );
}

const SLOW = { mock: { itl_ms: 20 } };

scenario(
  "SIGTERM during a drain lets the stream end, and who waits for the next model is told at once",
  {
    models: { a: SLOW, b: {} },
  },
  async ({ client, log, llmux }) => {
    const stream = await client.stream("a", { tokens: 80 });
    await stream.begun();
    const waiting = client.ask("b");
    await log.until("model draining", { model: "a" });
    const ended = llmux.end("SIGTERM");
    assert.equal((await waiting).error?.code, "shutting_down");
    assert.equal(await stream.ended, "complete");
    assert.equal(stream.pieces, 80);
    assert.deepEqual(await ended, { code: 0, signal: null });
    assert.deepEqual(log.all("engine starting", { model: "b" }), []);
  },
);

scenario(
  "SIGTERM lets a running stream end, and takes no new requests meanwhile",
  {
    models: { a: SLOW },
  },
  async ({ client, log, llmux }) => {
    const stream = await client.stream("a", { tokens: 80 });
    await stream.begun();
    const ended = llmux.end("SIGTERM");
    await log.until("shutdown started");
    await assert.rejects(client.ask("a"), { code: "ECONNREFUSED" });
    assert.equal(await stream.ended, "complete");
    assert.equal(stream.pieces, 80);
    assert.deepEqual(await ended, { code: 0, signal: null });
  },
);

scenario(
  "a stream that runs on past shutdown_timeout_secs ends with an error event",
  {
    models: { a: SLOW },
    top: { shutdown_timeout_secs: 0.5 },
  },
  async ({ client, llmux }) => {
    const stream = await client.stream("a", { tokens: 5_000 });
    await stream.begun();
    assert.deepEqual(await llmux.end("SIGTERM"), { code: 0, signal: null });
    assert.equal(await stream.ended, "broken off");
    assert.equal(stream.error?.code, "shutting_down");
  },
);

for (const [first, second, code] of [
  ["SIGINT", "SIGINT", 130],
  ["SIGTERM", "SIGTERM", 143],
  ["SIGINT", "SIGTERM", 143],
] as const) {
  scenario(
    `${first} and then ${second} ends everything at once, with exit code ${code}`,
    {
      models: { a: SLOW, b: {} },
      top: { shutdown_timeout_secs: 60 },
    },
    async (stage) => {
      await stage.client.ask("b");
      const stream = await stage.client.stream("a", { tokens: 5_000 });
      await stream.begun();
      stage.llmux.signal(first);
      await stage.log.until("shutdown started");
      assert.deepEqual(await stage.llmux.end(second), { code, signal: null });
      assert.equal(await stream.ended, "broken off");
      await stage.assertNobodyLeft();
      // Records may be left: the next start finds that nothing of them runs.
      await stage.start();
      assert.equal((await stage.client.ask("a")).status, 200);
    },
  );
}

scenario("a second signal during a start ends everything at once", SLOW_EACH, async (stage) => {
  const { reply } = await ARRIVE.starting(stage);
  // Refused or broken: which of the two is a matter of a millisecond.
  const answered = reply.catch(() => null);
  stage.llmux.signal("SIGTERM");
  stage.llmux.signal("SIGINT");
  // Two signals at once may change places on their way, and the first of them may be enough.
  const { code } = await stage.llmux.exited;
  assert.ok(code === 0 || code === 130 || code === 143, `exit code ${code}`);
  assert.notEqual((await answered)?.status, 200);
  await stage.assertNobodyLeft();
  await stage.start();
  assert.equal((await stage.client.ask("c")).status, 200);
});

scenario(
  "engines that ignore SIGTERM are killed after stop_grace_secs, and llmux ends in good order",
  {
    engine_timeouts: { stop_grace_secs: 0.5 },
  },
  async (stage) => {
    for (const name of ["a", "b"]) stage.order(name, { "ignore-sigterm": true });
    await stage.client.ask("a");
    await stage.client.ask("b");
    assert.deepEqual(await stage.llmux.end("SIGTERM"), { code: 0, signal: null });
  },
);

scenario("SIGTERM while a model is left alone after a failure ends at once", {}, async (stage) => {
  stage.order("a", { "exit-at-start": true });
  assert.equal((await stage.client.ask("a")).status, 503);
  assert.deepEqual(await stage.llmux.end("SIGTERM"), { code: 0, signal: null });
});

scenario("SIGINT ends llmux and its engines, awake and asleep, in good order", {}, async (stage) => {
  await stage.client.ask("a");
  await stage.client.ask("b");
  assert.deepEqual(await stage.llmux.end("SIGINT"), { code: 0, signal: null });
  assert.deepEqual(stage.ledger().holdings, []);
});

scenario("SIGTERM to a llmux that has not started any engine ends at once", {}, async () => {});
