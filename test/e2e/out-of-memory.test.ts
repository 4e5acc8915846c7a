/** Somebody else takes memory of the GPU: wakes and starts that find too little, and what llmux does about it. */
import assert from "node:assert/strict";
import { setTimeout as pause } from "node:timers/promises";
import { controlSocketPath } from "../../src/base/state-files.ts";
import { operateModel } from "../../src/control/control-client.ts";
import { scenario } from "./support/scenario.ts";
import { serves } from "./support/serves.ts";
import { BOUNDED, GIB, ONE_GPU, taking } from "./support/sized-model.ts";

const FIRST_BACKOFF_MS = 2_000;

const COSTS = { startMs: 1_000, wakeMs: 100 };

const setup = {
  ...ONE_GPU,
  top: { ...ONE_GPU.top, nvidia_smi_command: ["mock-vllm", "nvidia-smi"] },
  policy: BOUNDED,
  // 12 GiB, and 7.2 GiB each; 1 GiB of each stays on the GPU while it sleeps.
  models: { a: taking(0.5), b: taking(0.3, { mock: { itl_ms: 10 } }), c: taking(0.3) },
} as const;

for (const level of [1, 2] as const) {
  scenario(
    `a wake from level ${level} that finds too little memory makes one more model leave, and works`,
    {
      ...setup,
      models: { ...setup.models, a: taking(0.5, { sleep_level: level }) },
      // Whoever rests longest leaves first: to bring them back costs the same.
      costs: { a: COSTS, b: COSTS, c: COSTS },
    },
    async (stage) => {
      const first = await stage.client.ask("a");
      await serves(stage, "b", "c");
      assert.deepEqual((await stage.status()).active, ["b", "c"]);
      // By llmux's own sums it is enough if b leaves.
      stage.outsiderHolds(8.5 * GIB);
      const reply = await stage.client.ask("a");
      assert.equal(reply.status, 200, String(reply.error?.message));
      assert.equal(reply.text, first.text);
      const { evicting, code } = await stage.log.until("wake retried", { model: "a" });
      assert.deepEqual([evicting, code], ["c", "out_of_memory"]);
      assert.deepEqual((await stage.status()).active, ["a"]);
      stage.outsiderHolds(0);
      await serves(stage, "b", "c", "a");
      assert.equal(stage.log.all("engine starting").length, 3, "nobody was started anew");
    },
  );
}

scenario("a start that finds too little memory makes a model leave, and is tried again", setup, async (stage) => {
  await serves(stage, "b");
  stage.outsiderHolds(6 * GIB);
  await serves(stage, "a");
  assert.equal((await stage.log.until("wake retried", { model: "a" }))["evicting"], "b");
  assert.equal(stage.log.all("engine starting", { model: "a" }).length, 2);
  stage.outsiderHolds(0);
  await serves(stage, "b", "a");
});

scenario("a model that has to leave for a wake without room ends its stream before", setup, async (stage) => {
  await serves(stage, "a", "c", "b", "c");
  const stream = await stage.client.stream("b", { tokens: 150 });
  await stream.begun();
  stage.outsiderHolds(6 * GIB);
  await serves(stage, "a");
  assert.equal(await stream.ended, "complete");
  assert.equal(stream.pieces, 150);
  stage.outsiderHolds(0);
});

scenario(
  "a wake that finds too little memory even so fails with the figures, others are served, and later it works",
  setup,
  async (stage) => {
    await serves(stage, "a", "c", "b");
    await stage.log.until("model asleep", { model: "a" });
    stage.outsiderHolds(8 * GIB);
    // As if somebody else took what c makes free.
    stage.order("a", { "wake-oom": { times: 2 } });
    const refused = await stage.client.ask("a");
    assert.equal(refused.status, 503);
    assert.equal(refused.error?.code, "out_of_memory");
    assert.match(refused.error.message, /CUDA Error: out of memory/);
    assert.match(refused.error.message, /free: \d+\.\d\d of 24\.00 GiB on GPU 0/);
    assert.match(refused.error.message, /it needs 12 GiB of each GPU; GPU 0 has 24 GiB/);
    assert.equal(refused.headers["retry-after"], "2");
    assert.equal(stage.log.all("wake retried", { model: "a" }).length, 1, "it is tried once more, and not for ever");
    await serves(stage, "b", "c");
    stage.outsiderHolds(0);
    await pause(FIRST_BACKOFF_MS);
    await serves(stage, "a");
  },
);

scenario("a wake without room for which nobody can leave fails at once with the figures", setup, async (stage) => {
  await serves(stage, "a");
  await operateModel(controlSocketPath(stage.stateDir), "a", "sleep");
  await stage.log.until("model asleep", { model: "a" });
  stage.outsiderHolds(14 * GIB);
  const refused = await stage.client.ask("a");
  assert.equal(refused.status, 503);
  assert.equal(refused.error?.code, "out_of_memory");
  assert.match(refused.error.message, /GPU 0 has 24 GiB, and nobody else is there/);
  assert.deepEqual(stage.log.all("wake retried"), []);
  stage.outsiderHolds(0);
});
