/** What engines hold, what they keep and what they find too little of: several stand-ins on pretend GPUs, under one orchestrator. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { EngineSpec } from "../src/orchestrator/engine-world.ts";
import { askEngine, EngineGround, engineSpec, type Orchestrated } from "./support/engine-ground.ts";
import { until } from "./support/until.ts";

const GIB = 1024 ** 3;
const MIB = 1024 ** 2;

/** What was measured of a model last, once all of these are known. */
function untilKnown<K extends "awakeBytes" | "residueBytes" | "hostBytes">(
  { measured }: Orchestrated,
  model: string,
  ...keys: readonly K[]
): Promise<Readonly<Record<K, number>>> {
  return until(`${keys.join(", ")} of ${model} are measured`, () => {
    const all = Object.assign({}, ...measured.filter((one) => one.model === model).map(({ figures }) => figures));
    return keys.every((key) => all[key] !== undefined) ? (all as Record<K, number>) : undefined;
  });
}

test("memory is measured awake and asleep, of several GPUs the one with most, and the host's all together", async () => {
  await using ground = new EngineGround();
  const spec = engineSpec({
    gpus: [1, 2],
    extraArgs: ["--gpu-memory-utilization", "0.5", "--tensor-parallel-size", "2"],
    env: { MOCK_VLLM_WEIGHTS: "3GiB", MOCK_VLLM_RESIDUE: "512MiB" },
  });
  const engines = ground.orchestrate(spec, { environment: { MOCK_VLLM_GPUS: "0:8GiB,1:8GiB,2:12GiB" } });
  await engines.start();
  const awake = await untilKnown(engines, "tiny", "awakeBytes", "hostBytes");
  assert.deepEqual(awake, { ...awake, awakeBytes: 6 * GIB, hostBytes: 3 * GIB });
  await engines.sleep(1);
  const asleep = await untilKnown(engines, "tiny", "residueBytes");
  assert.equal(asleep.residueBytes, 512 * MIB);
  // None is told twice.
  assert.equal(engines.measured.length, 3);
});

test("what an engine keeps asleep is told again when it has grown", async () => {
  await using ground = new EngineGround();
  const spec = engineSpec({ env: { MOCK_VLLM_FAULTS: "leak=64MiB", MOCK_VLLM_RESIDUE: "512MiB" } });
  const engines = ground.orchestrate(spec);
  const { effects, next, measured } = engines;
  await engines.start();
  const residues = (): number[] => measured.flatMap(({ figures }) => figures.residueBytes ?? []);
  for (const sleeps of [1, 2]) {
    await engines.sleep(2);
    await until("it is measured", () => residues().length === sleeps);
    effects.wake("tiny", 2);
    assert.deepEqual(await next(), { kind: "awake" });
  }
  assert.deepEqual(residues(), [576 * MIB, 640 * MIB]);
});

test("without nvidia-smi an engine's own words count, but only of a GPU that is its alone", async () => {
  await using ground = new EngineGround();
  const extraArgs = ["--gpu-memory-utilization", "0.4"];
  const env = { MOCK_VLLM_RESIDUE: "512MiB", MOCK_VLLM_WEIGHTS: "1GiB" };
  const both = ["a", "b"].map((name) => engineSpec({ name, extraArgs, env }));
  const engines = ground.orchestrate(both, { nvidiaSmi: ["no-such-nvidia-smi"] });
  await engines.start("a");
  await engines.sleep(1, "a");
  assert.deepEqual(engines.measured.splice(0), [
    { model: "a", figures: { hostBytes: GIB } },
    { model: "a", figures: { residueBytes: 512 * MIB } },
  ]);
  await engines.start("b");
  await engines.sleep(1, "b");
  // What is in use of the GPU now is of both.
  assert.deepEqual(engines.measured, [{ model: "b", figures: { hostBytes: GIB } }]);
});

test("a start beside an engine that is awake says how little memory it found, and works when the other sleeps", async () => {
  await using ground = new EngineGround();
  const engines = ground.orchestrate([engineSpec({ name: "a" }), engineSpec({ name: "b" })]);
  const { effects, next } = engines;
  await engines.start("a");
  effects.start("b");
  const { kind, reason } = await next("b");
  assert.deepEqual([kind, reason?.code], ["wake failed", "out_of_memory"]);
  assert.match(
    reason?.message ?? "",
    /^the engine of b found too little GPU memory: ValueError: Free memory on device cuda:0 \(1\.60\/8\.00 GiB\) .*6\.40 GiB/,
  );
  effects.stop("b");
  assert.deepEqual(await next("b"), { kind: "stopped" });
  await engines.sleep(1, "a");
  await engines.start("b");
});

function heavy(name: string, share: string): EngineSpec {
  const extraArgs = ["--gpu-memory-utilization", share];
  return engineSpec({ name, extraArgs, env: { MOCK_VLLM_WEIGHTS: "1GiB" } });
}

for (const level of [1, 2] as const) {
  test(`a wake from level ${level} beside an engine that is awake leaves a sleeper that can be woken when there is room`, async () => {
    await using ground = new EngineGround();
    // Of a wake from level 2 the weights fit beside the other engine, and the KV cache does not.
    const engines = ground.orchestrate([heavy("a", "0.8"), heavy("b", "0.6")]);
    const { effects, next, orchestrator } = engines;
    await engines.start("a");
    const before = await askEngine(orchestrator, "a");
    await engines.sleep(level, "a");
    await engines.start("b");
    effects.wake("a", level);
    const { kind, reason } = await next("a");
    assert.deepEqual([kind, reason?.code], ["wake failed", "out_of_memory"]);
    assert.match(reason?.message ?? "", /CUDA Error: out of memory at .*; free: 2\.80 of 8\.00 GiB on GPU 0$/);
    if (level === 2) assert.match(reason?.message ?? "", /tags=kv_cache/);
    await engines.sleep(1, "b");
    effects.wake("a", level);
    assert.deepEqual(await next("a"), { kind: "awake" });
    assert.equal(await askEngine(orchestrator, "a"), before);
  });
}

test("an engine that wakes without room and does not stay asleep has failed to wake", async () => {
  await using ground = new EngineGround();
  const engines = ground.orchestrate(engineSpec({ env: { MOCK_VLLM_FAULTS: "wake-oom*1" } }));
  const { effects, next, orchestrator } = engines;
  await engines.start();
  await engines.sleep(2);
  const origin = orchestrator.connection("tiny")?.origin ?? "";
  await fetch(`${origin}/mock/faults`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ "sleep-error": true }),
  });
  effects.wake("tiny", 2);
  const { kind, reason } = await next();
  assert.deepEqual([kind, reason?.code], ["wake failed", "wake_failed"]);
  assert.match(reason?.message ?? "", /out of memory.*did not stay asleep: .*\/sleep.* answered 500: .*sleep-error/);
});
