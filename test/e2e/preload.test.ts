/** Engines that are started before anybody asks for them: one after another, in the background, and in nobody's way. */
import assert from "node:assert/strict";
import { until } from "../support/until.ts";
import { scenario } from "./support/scenario.ts";
import { serves } from "./support/serves.ts";
import { BOUNDED, taking } from "./support/sized-model.ts";

/** Room for one of them that is awake. */
const setup = {
  policy: BOUNDED,
  gpus: "0:24GiB",
  top: { gpus: { 0: "24GiB" }, preload: true },
  models: { a: taking(0.7), b: taking(0.7), c: taking(0.7) },
} as const;

scenario(
  "at the start all engines are brought up one after another and put to sleep, and a first request only wakes",
  setup,
  async (stage) => {
    await stage.log.until("model asleep", { model: "c" });
    const steps = /^(engine starting|model awake|model asleep)$/;
    const order = stage.log.events
      .filter(({ event }) => steps.test(event))
      .map(({ event, model }) => `${event} ${String(model)}`);
    assert.deepEqual(
      order,
      ["a", "b", "c"].flatMap((id) => [`engine starting ${id}`, `model awake ${id}`, `model asleep ${id}`]),
    );
    assert.equal((await stage.status()).state, "idle");
    await serves(stage, "c", "a", "b");
    assert.equal(stage.log.all("engine starting").length, 3);
  },
);

scenario(
  "a request for another model breaks a preload off, is served at once, and the preload is done later",
  { ...setup, start: false },
  async (stage) => {
    // Whoever waited for this start would wait for ever.
    stage.order("a", { "never-ready": { times: 1 } });
    await stage.start();
    await stage.log.until("engine progress", { model: "a", stage: "loading weights" });
    const asked = stage.client.ask("b");
    const { because } = await stage.log.until("switch cancelled", { to: "a" });
    assert.equal(because, "a request for b has come");
    assert.equal((await asked).status, 200);
    assert.deepEqual(stage.log.all("model awake", { model: "a" }), []);
    // When nobody has used b for a while.
    const { time } = await stage.log.until("model asleep", { model: "a" });
    const servedAt = Date.parse((await stage.log.until("lease released", { model: "b" })).time);
    assert.ok(Date.parse(time) - servedAt >= 4_900);
    await stage.log.until("model asleep", { model: "c" });
    await serves(stage, "a", "b", "c");
    assert.equal(stage.log.all("engine starting").length, 4);
  },
);

scenario(
  "a request for the model that is being preloaded is served by that start, and the model stays awake for it",
  { ...setup, models: { a: taking(0.7, { mock: { load_ms: 1_500, itl_ms: 20 } }), b: taking(0.7) } },
  async (stage) => {
    await stage.log.until("engine started", { model: "a" });
    const stream = await stage.client.stream("a", { tokens: 50 });
    assert.equal(await stream.ended, "complete");
    assert.equal(stage.log.all("engine starting", { model: "a" }).length, 1);
    assert.equal((await stage.model("a")).state, "awake");
  },
);

scenario(
  "a model whose preload fails is left alone until somebody asks for it, and the others are preloaded",
  { ...setup, start: false },
  async (stage) => {
    stage.order("a", { "exit-at-start": { times: 1, value: "3:OSError: no such model" } });
    await stage.start();
    await stage.log.until("model asleep", { model: "c" });
    await until("a has failed for long enough", async () => (await stage.model("a")).retry_in_s === 0);
    assert.equal(stage.log.all("engine starting", { model: "a" }).length, 1);
    await serves(stage, "a");
  },
);

scenario(
  "without preload no engine is started, and a model can be preloaded alone",
  { ...setup, top: { gpus: { 0: "24GiB" } }, models: { a: taking(0.7), b: taking(0.7, { preload: true }) } },
  async (stage) => {
    await stage.log.until("model asleep", { model: "b" });
    assert.deepEqual(stage.log.all("engine starting", { model: "a" }), []);
  },
);
