/** Requests that run longer than their model may stay: they stand still while others are served, and go on, or are ended. */
import assert from "node:assert/strict";
import { until } from "../support/until.ts";
import { scenario } from "./support/scenario.ts";
import { serves } from "./support/serves.ts";
import { BOUNDED } from "./support/sized-model.ts";
import type { Setup } from "./support/stage.ts";

const BUDGET_S = 0.3;
/** The answers of `a` take more than a second. */
const TOKENS = 60;
const SLOW = { mock: { itl_ms: 20 } };
const COSTS = { startMs: 500, wakeMs: 50 };

function setupOf(a: Readonly<Record<string, unknown>> = {}, policy: Readonly<Record<string, unknown>> = {}): Setup {
  return {
    policy: { ...BOUNDED, drain_budget_secs: BUDGET_S, ...policy },
    models: { a: { ...SLOW, suspend: true, ...a }, b: {} },
    costs: { a: COSTS, b: COSTS },
  };
}

for (const [what, setup] of [
  ["bounded-wait, level 1", setupOf()],
  ["bounded-wait, level 2", setupOf({ sleep_level: 2 })],
  ["fifo, level 1", setupOf({}, { policy_type: "fifo" })],
] as const) {
  scenario(
    `a stream that outlives the drain budget stands still while the other model serves, and then goes on to its end, unchanged (${what})`,
    setup,
    async (stage) => {
      const undisturbed = await stage.client.ask("a", { tokens: TOKENS });
      const stream = await stage.client.stream("a", { tokens: TOKENS });
      await stream.begun();
      await serves(stage, "b");
      assert.ok(stream.pieces < TOKENS, "it has not ended before");
      await stage.log.until("requests suspended", { model: "a", requests: 1 });
      assert.equal(await stream.ended, "complete");
      assert.equal(stream.pieces, TOKENS);
      assert.equal(stream.text, undisturbed.text);
      const order = stage.log.events
        .filter(({ event, model }) => event === "model awake" || (event === "lease released" && model === "a"))
        .map(({ event, model }) => `${event} ${String(model)}`);
      assert.deepEqual(order.slice(0, 4), ["model awake a", "lease released a", "model awake b", "model awake a"]);
      assert.equal(stage.log.all("engine starting", { model: "a" }).length, 1);
    },
  );
}

scenario(
  "streams, whole answers and those that still wait for a model that had to leave are all answered in full",
  setupOf({ extra_args: ["--gpu-memory-utilization", "0.8", "--max-num-seqs", "4"] }),
  async (stage) => {
    const undisturbed = await stage.client.ask("a", { tokens: TOKENS });
    const streams = [
      await stage.client.stream("a", { tokens: TOKENS }),
      await stage.client.stream("a", { tokens: TOKENS }),
    ];
    const whole = stage.client.ask("a", { tokens: TOKENS });
    for (const stream of streams) await stream.begun();
    await until("all three run", async () => (await stage.model("a")).in_flight === 3);
    const forB = [stage.client.ask("b"), stage.client.ask("b"), stage.client.ask("b"), stage.client.ask("b")];
    await stage.log.until("requests suspended", { model: "a", requests: 3 });
    const late = stage.client.ask("a", { tokens: TOKENS });
    for (const reply of await Promise.all(forB)) assert.equal(reply.status, 200);
    for (const stream of streams) {
      assert.equal(await stream.ended, "complete");
      assert.equal(stream.text, undisturbed.text);
    }
    for (const reply of await Promise.all([whole, late])) {
      assert.equal(reply.status, 200);
      assert.equal(reply.text, undisturbed.text);
    }
  },
);

scenario(
  "a stream whose engine cannot suspend it ends with an error event and a broken connection when the budget is spent",
  setupOf({ suspend: false }),
  async (stage) => {
    const stream = await stage.client.stream("a", { tokens: 5_000 });
    await stream.begun();
    await serves(stage, "b");
    assert.equal(await stream.ended, "broken off");
    assert.equal(stream.error?.code, "drain_timeout");
    assert.match(stream.error.message, /model a had to make room, and the request did not end within 0\.3 s/);
    assert.deepEqual(stage.log.all("requests suspended"), []);
    await serves(stage, "a");
  },
);

scenario(
  "a stream that ends within the budget is not disturbed",
  setupOf({}, { drain_budget_secs: 15 }),
  async (stage) => {
    const stream = await stage.client.stream("a", { tokens: TOKENS });
    await stream.begun();
    await serves(stage, "b");
    assert.equal(await stream.ended, "complete");
    assert.deepEqual(stage.log.all("requests suspended"), []);
  },
);

scenario(
  "with a budget of nothing a stream stands still at once, and goes on later",
  setupOf({}, { drain_budget_secs: 0 }),
  async (stage) => {
    const stream = await stage.client.stream("a", { tokens: TOKENS });
    await stream.begun();
    await serves(stage, "b");
    const { drain_ms: drainMs } = await stage.log.until("drain ended", { from: "a", to: "b" });
    assert.ok(Number(drainMs) < 1_000, `it took ${String(drainMs)} ms`);
    assert.equal(await stream.ended, "complete");
    assert.equal(stream.pieces, TOKENS);
  },
);
