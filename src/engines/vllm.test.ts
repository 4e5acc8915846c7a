import assert from "node:assert/strict";
import { test } from "node:test";
import { parseIsSleeping, sleepSteps, vllmCommand, vllmEnvironment, wakeSteps } from "./vllm.ts";
import type { EngineModel } from "./engine.ts";

const MODEL: EngineModel = {
  name: "qwen-14b",
  aliases: [],
  upstreamModel: null,
  modelPath: "Qwen/Qwen3-14B",
  gpus: null,
  sleepModeFlag: true,
  extraArgs: [],
  env: {},
};

test("the command line serves the model under its public name, on loopback alone, with sleep mode", () => {
  assert.deepEqual(vllmCommand(["vllm"], MODEL, 8001), [
    "vllm",
    "serve",
    "Qwen/Qwen3-14B",
    "--host",
    "127.0.0.1",
    "--port",
    "8001",
    "--served-model-name",
    "qwen-14b",
    "--enable-sleep-mode",
  ]);
});

test("a command of several words keeps them in front", () => {
  assert.deepEqual(vllmCommand(["docker", "exec", "box", "vllm"], MODEL, 8001).slice(0, 6), [
    "docker",
    "exec",
    "box",
    "vllm",
    "serve",
    "Qwen/Qwen3-14B",
  ]);
});

test("the engine answers to every alias, since requests are passed on as they came", () => {
  const command = vllmCommand(["vllm"], { ...MODEL, aliases: ["gpt-4o-mini", "small"] }, 8001);
  const at = command.indexOf("--served-model-name");
  assert.deepEqual(command.slice(at + 1, at + 4), ["qwen-14b", "gpt-4o-mini", "small"]);
});

test("where requests carry another name, that is the one it answers to", () => {
  const command = vllmCommand(["vllm"], { ...MODEL, aliases: ["small"], upstreamModel: "org/q" }, 8001);
  const at = command.indexOf("--served-model-name");
  assert.deepEqual(command.slice(at + 1, at + 3), ["org/q", "--enable-sleep-mode"]);
});

test("without the flag for sleep mode everything else is as it was", () => {
  const command = vllmCommand(["vllm"], { ...MODEL, sleepModeFlag: false, extraArgs: ["--enforce-eager"] }, 8001);
  assert.ok(!command.includes("--enable-sleep-mode"));
  assert.deepEqual(command.slice(-2), ["qwen-14b", "--enforce-eager"]);
});

test("further arguments come last, in their order, so that they win", () => {
  const extraArgs = ["--gpu-memory-utilization", "0.9", "--max-model-len", "4096"];
  assert.deepEqual(vllmCommand(["vllm"], { ...MODEL, extraArgs }, 8001).slice(-4), extraArgs);
});

for (const own of [
  ["--served-model-name", "other"],
  ["--served-model-name=other"],
  ["--served_model_name", "other"],
  ["--served_model_name=other"],
]) {
  test(`a name of its own (${own.join(" ")}) takes the place of ours`, () => {
    const command = vllmCommand(["vllm"], { ...MODEL, extraArgs: own }, 8001);
    assert.ok(!command.includes("qwen-14b"));
    assert.deepEqual(command.slice(-own.length), own);
  });
}

test("the environment opens the sleep routes, and keeps colours out of the log", () => {
  assert.deepEqual(vllmEnvironment(MODEL), { VLLM_SERVER_DEV_MODE: "1", NO_COLOR: "1" });
});

test("GPUs are named in the order in which nvidia-smi counts them", () => {
  const { CUDA_DEVICE_ORDER, CUDA_VISIBLE_DEVICES } = vllmEnvironment({ ...MODEL, gpus: [2, 3] });
  assert.equal(CUDA_DEVICE_ORDER, "PCI_BUS_ID");
  assert.equal(CUDA_VISIBLE_DEVICES, "2,3");
});

test("a model's own variables win", () => {
  const environment = vllmEnvironment({
    ...MODEL,
    gpus: [0],
    env: { CUDA_VISIBLE_DEVICES: "GPU-1", HF_HOME: "/models" },
  });
  assert.equal(environment["CUDA_VISIBLE_DEVICES"], "GPU-1");
  assert.equal(environment["HF_HOME"], "/models");
  assert.equal(environment["VLLM_SERVER_DEV_MODE"], "1");
});

test("the sleep level is in the query, since vLLM does not look into the body, and so is what becomes of requests", () => {
  assert.deepEqual(sleepSteps(1, "none"), [{ path: "/sleep?level=1", limit: "sleep", optional: false }]);
  assert.deepEqual(sleepSteps(2, "none"), [{ path: "/sleep?level=2", limit: "sleep", optional: false }]);
  assert.deepEqual(
    [sleepSteps(1, "kept")[0]?.path, sleepSteps(2, "kept")[0]?.path],
    ["/sleep?level=1&mode=keep", "/sleep?level=2&mode=keep"],
  );
});

test("from level 1 one call wakes", () => {
  assert.deepEqual(wakeSteps(1), [{ path: "/wake_up", limit: "wake", optional: false }]);
});

test("from level 2 the weights are loaded again before the KV cache lets anything run", () => {
  const steps = wakeSteps(2);
  assert.deepEqual(
    steps.map(({ path, limit, optional }) => [path, limit, optional]),
    [
      ["/wake_up?tags=weights", "wake", false],
      ["/collective_rpc", "reload", false],
      ["/wake_up?tags=kv_cache", "wake", false],
      ["/reset_prefix_cache", "wake", true],
    ],
  );
  assert.deepEqual(steps[1]?.json, { method: "reload_weights" });
});

test("whether an engine sleeps is read from its answer, and from nothing else", () => {
  assert.equal(parseIsSleeping('{"is_sleeping":true}'), true);
  assert.equal(parseIsSleeping('{ "is_sleeping" : false }'), false);
  assert.equal(parseIsSleeping('{"detail":"Not Found"}'), null);
  assert.equal(parseIsSleeping(""), null);
});
