/** Requests that stand still in a sleeping engine when something goes wrong: nobody waits for ever, and nothing is left. */
import assert from "node:assert/strict";
import { until } from "../support/until.ts";
import type { AnswerStream, Reply } from "./support/client.ts";
import { scenario } from "./support/scenario.ts";
import { serves } from "./support/serves.ts";
import { BOUNDED } from "./support/sized-model.ts";
import type { Stage } from "./support/stage.ts";

const TOKENS = 100;
const COSTS = { startMs: 500, wakeMs: 50 };

const setup = {
  policy: { ...BOUNDED, drain_budget_secs: 0.2 },
  models: {
    a: { suspend: true, mock: { itl_ms: 20 } },
    // While it wakes, a sleeps.
    b: { mock: { wake_ms: 1_500 } },
  },
  costs: { a: COSTS, b: COSTS },
} as const;

/** The connection may break a moment before the process is known to have ended. */
const ENGINE_DIED = /^engine_(crashed|unreachable)$/;

interface Scene {
  /** They stand still in the engine of `a`, which sleeps. */
  readonly streams: readonly AnswerStream[];
  /** So does this one, of which nothing has been sent yet. */
  readonly whole: Promise<Reply>;
  /** Waits for the wake of `b`, which is under way. */
  readonly forB: Promise<Reply>;
}

async function setScene(stage: Stage): Promise<Scene> {
  await serves(stage, "b", "a");
  const streams = [
    await stage.client.stream("a", { tokens: TOKENS }),
    await stage.client.stream("a", { tokens: TOKENS }),
  ];
  for (const stream of streams) await stream.begun();
  const whole = stage.client.ask("a", { tokens: TOKENS });
  await until("all three run", async () => (await stage.model("a")).in_flight === 3);
  const forB = [1, 2, 3].map(() => stage.client.ask("b"));
  await stage.log.until("requests suspended", { model: "a", requests: 3 });
  await stage.log.until("model asleep", { model: "a" });
  const [first] = forB;
  assert.ok(first !== undefined);
  return { streams, whole, forB: first };
}

async function nobodyIsLeft(stage: Stage): Promise<void> {
  await until("no lease is out, and nobody waits", async () =>
    (await stage.status()).models.every(({ in_flight: inFlight, waiting }) => inFlight === 0 && waiting === 0),
  );
}

scenario(
  "when a sleeping engine is killed, the streams that stand still in it end with an error, and whose answer has not begun is served by the next engine",
  setup,
  async (stage) => {
    const { streams, whole, forB } = await setScene(stage);
    const { apiPid } = await stage.engine("a");
    process.kill(-apiPid, "SIGKILL");
    await stage.log.until("engine crashed", { model: "a", during: "asleep" });
    for (const stream of streams) {
      assert.equal(await stream.ended, "broken off");
      assert.match(stream.error?.code ?? "", ENGINE_DIED);
    }
    assert.equal((await forB).status, 200);
    assert.equal((await whole).status, 200);
    await nobodyIsLeft(stage);
    await serves(stage, "b", "a");
  },
);

scenario(
  "a client that leaves while its request stands still is forgotten, and nobody is woken when all have left",
  setup,
  async (stage) => {
    await serves(stage, "b", "a");
    const stream = await stage.client.stream("a", { tokens: TOKENS });
    await stream.begun();
    const forB = stage.client.ask("b");
    await stage.log.until("model asleep", { model: "a" });
    const since = stage.log.now;
    stream.leave();
    await stage.log.until("lease released", { model: "a", outcome: "abandoned" }, since);
    assert.equal((await forB).status, 200);
    await serves(stage, "b");
    await nobodyIsLeft(stage);
    await until("the engine has forgotten it", async () => (await stage.requestCounts("a"))["running"] === 0);
    assert.deepEqual(stage.log.all("switch started", { to: "a" }, since), []);
    assert.equal((await stage.model("a")).state, "asleep");
    await serves(stage, "a");
  },
);

scenario(
  "when the engine does not wake any more, what stands still in it ends with an error, and the model works later",
  setup,
  async (stage) => {
    const { streams, whole, forB } = await setScene(stage);
    stage.order("a", { "wake-error": { times: 1 } });
    assert.equal((await forB).status, 200);
    for (const stream of streams) {
      assert.equal(await stream.ended, "broken off");
      assert.equal(stream.error?.code, "wake_failed");
    }
    const refused = await whole;
    assert.equal(refused.status, 503);
    assert.equal(refused.error?.code, "wake_failed");
    await nobodyIsLeft(stage);
    await until("it may be tried again", async () => (await stage.model("a")).retry_in_s === 0);
    await serves(stage, "a", "b");
  },
);

scenario(
  "when the engine cannot fall asleep around its requests, they end with an error, and the other model is served",
  setup,
  async (stage) => {
    await serves(stage, "b", "a");
    stage.order("a", { "sleep-error": { times: 1 } });
    const stream = await stage.client.stream("a", { tokens: TOKENS });
    await stream.begun();
    await serves(stage, "b");
    assert.equal(await stream.ended, "broken off");
    assert.equal(stream.error?.code, "sleep_failed");
    await stage.log.until("sleep failed", { model: "a" });
    await nobodyIsLeft(stage);
    await serves(stage, "a");
  },
);

scenario(
  "at the end of llmux requests that stand still end with an error, and no engine is left",
  { ...setup, top: { shutdown_timeout_secs: 1 } },
  async (stage) => {
    const { streams, whole, forB } = await setScene(stage);
    assert.deepEqual(await stage.llmux.end("SIGTERM"), { code: 0, signal: null });
    for (const stream of streams) {
      assert.equal(await stream.ended, "broken off");
      assert.equal(stream.error?.code, "shutting_down");
    }
    for (const reply of await Promise.all([whole, forB])) {
      assert.equal(reply.status, 503);
      assert.equal(reply.error?.code, "shutting_down");
    }
  },
);
