import assert from "node:assert/strict";
import { test } from "node:test";
import type { EngineModel } from "./engine.ts";
import { sglang } from "./sglang.ts";

const MODEL: EngineModel = {
  name: "small",
  aliases: ["tiny"],
  upstreamModel: null,
  modelPath: "org/small",
  gpus: [0, 1],
  sleepModeFlag: false,
  extraArgs: [],
  env: { HF_HOME: "/hf" },
};

test("SGLang is shown its GPUs, does not generate at each look at its health, and can do without its memory saver", () => {
  const { command, environment } = sglang(["sglang"]).plan(MODEL, 8001);
  assert.deepEqual(
    command,
    ["sglang", "--model-path", "org/small", "--host", "127.0.0.1", "--port", "8001"].concat([
      "--served-model-name",
      "small",
    ]),
  );
  assert.deepEqual(environment, {
    NO_COLOR: "1",
    SGLANG_ENABLE_HEALTH_ENDPOINT_GENERATION: "0",
    CUDA_DEVICE_ORDER: "PCI_BUS_ID",
    CUDA_VISIBLE_DEVICES: "0,1",
    HF_HOME: "/hf",
  });
});

test("It is told the name by which requests reach it, unless its arguments say one", () => {
  const named = sglang([]).plan({ ...MODEL, upstreamModel: "org/small" }, 1).command;
  assert.equal(named[named.indexOf("--served-model-name") + 1], "org/small");
  const own = sglang([]).plan({ ...MODEL, extraArgs: ["--served-model-name=mine"] }, 1).command;
  assert.deepEqual(
    own.filter((word) => word.startsWith("--served-model-name")),
    ["--served-model-name=mine"],
  );
});

test("How far a start has come is read from its output", () => {
  const engine = sglang([]);
  for (const [line, progress] of [
    ["[TP0] Init torch distributed begin.", { stage: "initializing", percent: null }],
    ["Loading safetensors checkpoint shards:  50% Completed | 2/4", { stage: "loading weights", percent: 50 }],
    ["Capturing batches (bs=8 avail_mem=1.0 GB):  25%|##", { stage: "capturing graphs", percent: 25 }],
    ["The server is fired up and ready to roll!", { stage: "ready", percent: null }],
    ["Something else", null],
  ] as const) {
    assert.deepEqual(engine.parseProgress(line), progress);
  }
});
