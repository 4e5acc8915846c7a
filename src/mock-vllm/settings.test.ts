import assert from "node:assert/strict";
import { test } from "node:test";
import { formatGpus, parseGpus, visibleGpus } from "./gpus.ts";
import { planMemory, weightsBytesOf } from "./memory-plan.ts";
import { paceOf } from "./pace.ts";
import { gibBytes, parseBytes } from "./quantity.ts";
import { readSettings } from "./settings.ts";

test("a setting is read from its variable, and its flag wins", () => {
  const env = { MOCK_VLLM_SLEEP_MS: "7", MOCK_VLLM_WEIGHTS: "8GiB" };
  assert.equal(readSettings(new Map(), env).sleepMs, 7);
  assert.equal(readSettings(new Map(), env).weightsBytes, 8 * gibBytes);
  assert.equal(readSettings(new Map([["mock-sleep-ms", "9"]]), env).sleepMs, 9);
  assert.equal(readSettings(new Map(), {}).sleepMs, undefined);
});

test("a setting that makes no sense is named with what was expected", () => {
  assert.throws(
    () => readSettings(new Map(), { MOCK_VLLM_SLEEP_MS: "soon" }),
    /MOCK_VLLM_SLEEP_MS: expected a number .* found "soon"/,
  );
  assert.throws(
    () => readSettings(new Map([["mock-weights", "heavy"]]), {}),
    /--mock-weights: expected an amount of memory .* found "heavy"/,
  );
  assert.throws(() => readSettings(new Map([["mock-wieghts", "1"]]), {}), /--mock-wieghts: no such flag/);
});

test("amounts of memory are read with any unit", () => {
  assert.deepEqual(
    ["24GiB", "512 MiB", "8GB", "1000", "1.5gib"].map((text) => parseBytes(text, "x")),
    [24 * gibBytes, 512 * 2 ** 20, 8e9, 1000, 1.5 * gibBytes],
  );
});

test("GPUs are read and written as a list", () => {
  assert.equal(formatGpus(parseGpus("1:24GiB, 0:512MiB")), "0:512MiB,1:24GiB");
  assert.throws(() => parseGpus("foo"), /MOCK_VLLM_GPUS: expected a list such as .* found "foo"/);
  assert.throws(() => parseGpus("0:1GiB,0:1GiB"), /expected every GPU once/);
});

test("CUDA_VISIBLE_DEVICES chooses GPUs in its own order and stops at the first unknown one", () => {
  const gpus = parseGpus("0:1GiB,1:1GiB,2:1GiB");
  const indices = (names: string | undefined): number[] => visibleGpus(gpus, names).map((gpu) => gpu.index);
  assert.deepEqual(indices(undefined), [0, 1, 2]);
  assert.deepEqual(indices("2,0"), [2, 0]);
  assert.deepEqual(indices("1,9,0"), [1]);
  assert.deepEqual(indices(""), []);
});

test("weights are guessed from the model's name", () => {
  assert.equal(weightsBytesOf("Qwen/Qwen3-14B"), 28e9);
  assert.equal(weightsBytesOf("Qwen/Qwen3-0.6B"), 1.2e9);
  assert.equal(weightsBytesOf("Qwen/Qwen3-30B-A3B-FP8"), 30e9);
  assert.equal(weightsBytesOf("mistralai/Mixtral-8x7B"), 112e9);
  assert.equal(weightsBytesOf("org/llama-70b-AWQ"), 35e9);
  assert.equal(weightsBytesOf("my-model"), gibBytes);
});

test("the KV cache takes what utilization leaves beside weights and residue", () => {
  const gpu = { index: 0, totalBytes: 24 * gibBytes };
  const plan = planMemory(gpu, { weightsBytes: 8 * gibBytes, utilization: 0.5, gpuCount: 2, residueBytes: undefined });
  assert.equal(plan.residueBytes, gibBytes);
  assert.equal(plan.weightsBytes, 4 * gibBytes);
  assert.equal(plan.kvCacheBytes, 7 * gibBytes);
});

test("durations grow with the weights, the first level-1 sleep takes longer, and level 2 copies nothing", () => {
  const settings = readSettings(new Map(), {});
  const [small, large] = [paceOf(settings, 1e9), paceOf(settings, 28e9)];
  assert.ok(large.loadMs > small.loadMs);
  assert.ok(large.sleepMs(1, false) > small.sleepMs(1, false));
  assert.ok(large.sleepMs(1, true) > 3 * large.sleepMs(1, false));
  assert.ok(large.sleepMs(2, true) < large.sleepMs(1, false));
  assert.ok(large.wakeMs(1, "weights") > large.wakeMs(2, "weights"));
  assert.ok(large.reloadMs > large.wakeMs(1, "weights"));
});

test("the time scale multiplies what is not set, and a set duration is exactly that", () => {
  const env = {
    MOCK_VLLM_TIME_SCALE: "0",
    MOCK_VLLM_WAKE_MS: "40",
    MOCK_VLLM_SLEEP_MS: "30",
    MOCK_VLLM_FIRST_SLEEP_MS: "5",
  };
  const pace = paceOf(readSettings(new Map(), env), 28e9);
  assert.equal(pace.loadMs, 0);
  assert.equal(pace.ttftMs, 0);
  assert.equal(pace.wakeMs(1, "weights") + pace.wakeMs(1, "kv_cache"), 40);
  assert.equal(pace.sleepMs(1, true), 35);
  assert.equal(pace.sleepMs(1, false), 30);
});
