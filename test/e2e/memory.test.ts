/** Several models awake on one GPU, as many as its memory has room for: who stays, who leaves, and what sleepers leave behind. */
import assert from "node:assert/strict";
import { until } from "../support/until.ts";
import { scenario } from "./support/scenario.ts";
import { serves } from "./support/serves.ts";
import { BOUNDED, GIB, ONE_GPU, taking } from "./support/sized-model.ts";
import type { Stage } from "./support/stage.ts";

/** A GPU that says who holds what of it. */
const NVIDIA_SMI = { nvidia_smi_command: ["mock-vllm", "nvidia-smi"] };

async function whoIsAwake(stage: Stage): Promise<readonly string[]> {
  return (await stage.status()).active;
}

/** What a model leaves on its GPU has been measured while it slept. */
async function untilResidueIsKnown(stage: Stage, id: string): Promise<void> {
  const isKnown = async (): Promise<boolean> => {
    const { residue_bytes: bytes } = (await stage.model(id)).memory;
    return Math.abs(bytes - 1.9 * GIB) < 0.05 * GIB;
  };
  await until(`it is known what ${id} leaves behind`, isKnown);
}

for (const policy_type of ["bounded-wait", "fifo"]) {
  scenario(
    `two models that fit on a GPU stay awake together, and for a third one the one leaves that has rested longest (${policy_type})`,
    { ...ONE_GPU, policy: { policy_type }, models: { a: taking(0.4), b: taking(0.4), c: taking(0.4) } },
    async (stage) => {
      await serves(stage, "a", "b", "a", "b", "a", "b");
      assert.deepEqual(await whoIsAwake(stage), ["a", "b"]);
      assert.equal(stage.log.all("switch started").length, 2, "nobody has left");
      assert.ok(stage.highWaterBytes(0) >= 19 * GIB, "both are on the GPU");
      await serves(stage, "c");
      assert.deepEqual(await whoIsAwake(stage), ["b", "c"]);
      await serves(stage, "b", "a");
      assert.deepEqual(await whoIsAwake(stage), ["a", "b"]);
      assert.equal(stage.log.all("engine starting").length, 3);
    },
  );
}

scenario(
  "a model that is in use stays awake as long as another one can leave, and its stream goes on",
  {
    ...ONE_GPU,
    policy: BOUNDED,
    // The size is said by llmux's own key, in other words than the engine's.
    models: {
      a: taking(0.4, { gpu_memory: "9.6GiB", mock: { itl_ms: 10 } }),
      b: taking(0.4, { gpu_memory: "9.6GiB" }),
      c: taking(0.4, { gpu_memory: "9.6GiB" }),
    },
  },
  async (stage) => {
    const stream = await stage.client.stream("a", { tokens: 5_000 });
    await stream.begun();
    // b was used last and is idle; a was let in first and is not.
    await serves(stage, "b", "c", "b", "c");
    const { pieces } = stream;
    assert.deepEqual(await whoIsAwake(stage), ["a", "c"]);
    await until("the stream has gone on", () => stream.pieces > pieces);
    assert.deepEqual(stage.log.all("model draining", { model: "a" }), []);
    stream.leave();
    await stage.log.until("lease released", { model: "a", outcome: "abandoned" });
  },
);

scenario(
  "what sleepers leave behind adds up: the process of the one that is missed least ends, and there is room for the wake",
  {
    ...ONE_GPU,
    top: { ...ONE_GPU.top, ...NVIDIA_SMI },
    policy: BOUNDED,
    // Beside 19.2 GiB there is room for two residues of 1.9 GiB, and for no third.
    models: Object.fromEntries(["a", "b", "c", "d"].map((id) => [id, taking(0.8, { mock: { residue: "1.9GiB" } })])),
    costs: {
      a: { startMs: 60_000, wakeMs: 1_000 },
      b: { startMs: 10_000, wakeMs: 1_000 },
      c: { startMs: 60_000, wakeMs: 1_000 },
      d: { startMs: 60_000, wakeMs: 1_000 },
    },
  },
  async (stage) => {
    await serves(stage, "a", "b");
    await untilResidueIsKnown(stage, "a");
    await serves(stage, "c");
    await untilResidueIsKnown(stage, "b");
    assert.deepEqual(stage.log.all("engine stopped"), []);
    // What c will leave behind is not known yet: it is not less than anybody's.
    await serves(stage, "a");
    await untilResidueIsKnown(stage, "c");
    await serves(stage, "c", "d");
    const states = (await stage.status()).models.map(({ id, state }) => `${id} ${state}`);
    assert.deepEqual(states, ["a asleep", "b stopped", "c asleep", "d awake"]);
    // The others are woken, and only b is started again.
    const since = stage.log.now;
    await serves(stage, "a", "c", "b");
    assert.deepEqual(
      stage.log.all("engine starting", {}, since).map(({ model }) => model),
      ["b"],
    );
  },
);

scenario(
  "an engine that takes more than the configuration says is reported, and its true size counts from then on",
  {
    ...ONE_GPU,
    top: { ...ONE_GPU.top, ...NVIDIA_SMI },
    policy: BOUNDED,
    models: { a: taking(0.6, { gpu_memory: "6GiB" }), b: taking(0.5) },
  },
  async (stage) => {
    await stage.log.until("configuration");
    await serves(stage, "a");
    const { believed_bytes, measured_bytes } = await stage.log.until("memory differs", { model: "a" });
    assert.equal(believed_bytes, 6 * GIB);
    assert.ok(Math.abs(Number(measured_bytes) - 14.4 * GIB) < 0.1 * GIB, `${Number(measured_bytes)} bytes measured`);
    // By the configuration they would fit together; the engine of b would find too little.
    await serves(stage, "b");
    assert.deepEqual(await whoIsAwake(stage), ["b"]);
    await serves(stage, "a");
    assert.deepEqual(await whoIsAwake(stage), ["a"]);
    assert.equal(stage.log.all("memory differs").length, 1, "it is told once");
  },
);

scenario(
  "an engine that takes less than the configuration says leaves room for others once it is measured",
  {
    ...ONE_GPU,
    top: { ...ONE_GPU.top, ...NVIDIA_SMI },
    policy: BOUNDED,
    models: { a: taking(0.3, { gpu_memory: "20GiB" }), b: taking(0.5) },
  },
  async (stage) => {
    await serves(stage, "b", "a");
    assert.deepEqual(await whoIsAwake(stage), ["a"], "by the configuration they do not fit together");
    await stage.log.until("memory differs", { model: "a" });
    await serves(stage, "b");
    assert.deepEqual(await whoIsAwake(stage), ["a", "b"]);
  },
);

scenario(
  "a model of unknown size is awake alone until it is measured, and then together with whoever fits beside it",
  {
    ...ONE_GPU,
    top: { ...ONE_GPU.top, ...NVIDIA_SMI },
    policy: BOUNDED,
    models: {
      // By its own default it takes nine tenths.
      a: { extra_args: [] },
      b: taking(0.08, { mock: { weights: "512MiB", residue: "256MiB" } }),
    },
  },
  async (stage) => {
    await serves(stage, "b", "a");
    assert.deepEqual(await whoIsAwake(stage), ["a"]);
    await until("a is measured, and b can be awake beside it", async () => {
      await serves(stage, "b", "a");
      return (await whoIsAwake(stage)).length === 2;
    });
    const since = stage.log.now;
    await serves(stage, "a", "b", "a");
    assert.deepEqual(stage.log.all("switch started", {}, since), []);
  },
);
