/** How deep models sleep and how long: the host's memory that they may take, pins, and models that nobody wants any more. */
import assert from "node:assert/strict";
import { controlSocketPath } from "../../src/base/state-files.ts";
import { operateModel } from "../../src/control/control-client.ts";
import { scenario } from "./support/scenario.ts";
import { serves } from "./support/serves.ts";
import { BOUNDED, GIB, ONE_GPU, taking } from "./support/sized-model.ts";
import type { Stage } from "./support/stage.ts";

/** Each model as "a asleep 1". */
async function states(stage: Stage): Promise<readonly string[]> {
  const { models } = await stage.status();
  return models.map(({ id, state, level }) => [id, state, ...(level === null ? [] : [level])].join(" "));
}

/** What the sleepers hold of the host's memory. */
function hostBytes(stage: Stage): number {
  return stage
    .ledger()
    .holdings.filter(({ device }) => device === "host")
    .reduce((sum, { bytes }) => sum + bytes, 0);
}

/** A model that is awake alone, with 2 GiB of weights. */
const LARGE = taking(0.7, { mock: { weights: "2GiB" } });

scenario(
  "where the host has room for one sleeper, another one that is worth less sleeps deeper, and one that is worth more takes its place",
  {
    ...ONE_GPU,
    top: { ...ONE_GPU.top, host_memory_for_sleep: "3GiB" },
    policy: BOUNDED,
    models: { a: LARGE, b: LARGE, c: LARGE, d: LARGE },
    costs: {
      a: { startMs: 60_000, wakeMs: 1_000 },
      b: { startMs: 10_000, wakeMs: 1_000 },
      c: { startMs: 200_000, wakeMs: 1_000 },
      d: { startMs: 10_000, wakeMs: 1_000 },
    },
  },
  async (stage) => {
    const first = await stage.client.ask("a");
    await serves(stage, "b");
    assert.deepEqual(await states(stage), ["a asleep 1", "b awake", "c stopped", "d stopped"]);
    await serves(stage, "c");
    assert.deepEqual(await states(stage), ["a asleep 1", "b asleep 2", "c awake", "d stopped"]);
    await serves(stage, "d");
    assert.deepEqual(await states(stage), ["a stopped", "b asleep 2", "c asleep 1", "d awake"]);
    assert.ok(hostBytes(stage) <= 3 * GIB);
    // From wherever they come.
    await serves(stage, "b", "c");
    assert.equal((await stage.client.ask("a")).text, first.text);
    assert.ok(hostBytes(stage) <= 3 * GIB);
  },
);

scenario(
  "a sleeper that is larger than what the host has for it sleeps deeper, and leaves the others alone",
  {
    ...ONE_GPU,
    top: { ...ONE_GPU.top, host_memory_for_sleep: "3GiB" },
    policy: BOUNDED,
    models: { a: LARGE, b: taking(0.7, { mock: { weights: "4GiB" } }), c: LARGE },
    costs: { b: { startMs: 500_000, wakeMs: 100 } },
  },
  async (stage) => {
    await serves(stage, "a", "b", "c");
    assert.deepEqual(await states(stage), ["a asleep 1", "b asleep 2", "c awake"]);
  },
);

scenario(
  "a pinned model is started with llmux, and stays awake while others take turns beside it",
  {
    ...ONE_GPU,
    policy: { ...BOUNDED, idle_sleep_secs: 0.3 },
    models: { a: taking(0.25, { pin: true }), b: taking(0.5), c: taking(0.5) },
  },
  async (stage) => {
    await stage.log.until("model awake", { model: "a" });
    await serves(stage, "b", "c", "b", "a");
    const since = stage.log.now;
    await serves(stage, "c");
    await stage.log.until("model asleep", { model: "c" }, since);
    assert.deepEqual((await stage.status()).active, ["a"]);
    await serves(stage, "a");
    assert.deepEqual(stage.log.all("model draining", { model: "a" }), []);
    assert.equal(stage.log.all("waiter queued", { model: "a" }).length, 0);
  },
);

scenario(
  "a pinned model whose engine dies comes up again without being asked for, and not when an operator has stopped it",
  { ...ONE_GPU, policy: BOUNDED, models: { a: taking(0.25, { pin: true }), b: taking(0.5) } },
  async (stage) => {
    await stage.log.until("model awake", { model: "a" });
    const { apiPid } = await stage.engine("a");
    const since = stage.log.now;
    process.kill(-apiPid, "SIGKILL");
    await stage.log.until("engine crashed", { model: "a" });
    await stage.log.until("model awake", { model: "a" }, since);
    const stoppedSince = stage.log.now;
    await operateModel(controlSocketPath(stage.stateDir), "a", "stop");
    await stage.log.until("engine stopped", { model: "a" }, stoppedSince);
    await serves(stage, "b");
    assert.equal((await stage.model("a")).state, "stopped");
  },
);

scenario(
  "a model that nobody uses falls asleep after a while, and its engine stops after another; the next request starts it",
  {
    ...ONE_GPU,
    policy: { ...BOUNDED, idle_sleep_secs: 0.5, idle_stop_secs: 0.5 },
    models: { a: taking(0.4, { mock: { itl_ms: 20 } }) },
  },
  async ({ client, log }) => {
    // Longer than that, and in use all the time.
    const stream = await client.stream("a", { tokens: 75 });
    assert.equal(await stream.ended, "complete");
    const usedAt = Date.parse((await log.until("lease released", { model: "a" })).time);
    const asleepAt = Date.parse((await log.until("model falling asleep", { model: "a" })).time);
    // The log may be a moment behind.
    assert.ok(asleepAt - usedAt >= 450, `it fell asleep ${asleepAt - usedAt} ms after its last use`);
    await log.until("engine stopped", { model: "a" });
    assert.equal((await client.ask("a")).status, 200);
    assert.equal(log.all("engine starting").length, 2);
    const since = log.now;
    await log.until("model asleep", { model: "a" }, since);
    assert.equal((await client.ask("a")).status, 200);
  },
);
