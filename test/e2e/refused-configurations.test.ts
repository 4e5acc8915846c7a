/** Configurations that cannot work on the machine that there is: a clear error at the start, and nothing half-started. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { markedProcesses } from "./support/marked-processes.ts";
import { scenario } from "./support/scenario.ts";
import { taking } from "./support/sized-model.ts";
import type { ModelSetup, Stage } from "./support/stage.ts";

/** The file itself is wrong, or it does not fit this machine. */
type ExitCode = 2 | 1;

/** Starts llmux with these keys, and returns what it complained about before it ended. */
async function refused(stage: Stage, changes: Readonly<Record<string, unknown>>, exitCode: ExitCode): Promise<string> {
  const llmux = stage.launch(stage.writeConfig(changes));
  assert.deepEqual(await llmux.exited, { code: exitCode, signal: null });
  await llmux.log.ended;
  assert.deepEqual(llmux.log.all("listening"), []);
  assert.deepEqual(llmux.log.all("engine starting"), []);
  assert.deepEqual(markedProcesses(stage.marker), []);
  assert.equal(existsSync(stage.stateDir), false, "nothing is begun");
  return [...llmux.log.otherLines, ...llmux.log.all("not started").map(({ reason }) => String(reason))].join("\n");
}

function models(all: Readonly<Record<string, ModelSetup>>): Readonly<Record<string, unknown>> {
  return Object.fromEntries(Object.entries(all).map(([id, keys]) => [id, { model_path: `org/${id}`, ...keys }]));
}

const gpus = { 0: "24GiB" };
const SIMULATED = { itl_ms: 10, prefill_tokens_per_s: 8_000, sleep_s: 4, wake_s: 5, cold_s: 60 };
const BOTH_GPUS = { extra_args: ["--tensor-parallel-size", "2"] };

for (const [what, { changes, message }] of Object.entries({
  "a model that is larger than its GPU": {
    changes: { gpus, models: models({ a: { gpu_memory: "30GiB" } }) },
    message: /models\.a\.gpu_memory: expected a need that fits on GPU 0 \(24 GiB\), found 30 GiB/,
  },
  "pinned models that do not fit together": {
    changes: { gpus, models: models({ a: taking(0.6, { pin: true }), b: taking(0.6, { pin: true }) }) },
    message:
      /models\.b\.pin: expected pinned models that fit together on GPU 0 \(24 GiB\), found a 14\.4 GiB, b 14\.4 GiB/,
  },
  "a model that a pinned one leaves no room for": {
    changes: { gpus, models: models({ a: taking(0.6, { pin: true }), b: taking(0.6) }) },
    message: /models\.b: expected room beside a, pinned on GPU 0, found 9\.6 GiB left .* it can never be awake/,
  },
  "a GPU that is not there": {
    changes: { gpus, models: models({ a: { gpus: [3] } }) },
    message: /models\.a\.gpus\[0\]: expected GPU 0, found 3: there is no such GPU/,
  },
  "more parallelism than there are GPUs": {
    changes: { gpus, models: models({ a: BOTH_GPUS }) },
    message: /models\.a\.extra_args: expected parallelism over at most 1 GPU, found that it asks for 2/,
  },
  "a size without a unit": {
    changes: { gpus: { 0: "24" }, models: models({ a: {} }) },
    message: /gpus\.0: expected a size with a unit such as 20GiB, found the text "24"/,
  },
  "a size of a model without a unit": {
    changes: { gpus, models: models({ a: { gpu_memory: 20 } }) },
    message: /models\.a\.gpu_memory: expected a size with a unit such as 20GiB, found 20/,
  },
  "a bound on waiting that is less than one switch": {
    changes: {
      gpus,
      policy: { policy_type: "bounded-wait", target_wait_secs: 1, max_wait_secs: 8 },
      models: models({ a: taking(0.8, { simulate: SIMULATED }), b: taking(0.8, { simulate: SIMULATED }) }),
    },
    message:
      /policy\.max_wait_secs: expected at least what the longest switch takes, 9 s from [ab] to [ab] .* found 8 s/,
  },
})) {
  scenario(`llmux does not start with ${what}`, { start: false }, async (stage) => {
    const complaint = await refused(stage, changes, 2);
    assert.match(complaint, message);
    assert.match(complaint, /llmux\.yaml:\d+:\d+/, "with the place in the file");
  });
}

const NVIDIA_SMI = { nvidia_smi_command: ["mock-vllm", "nvidia-smi"] };

for (const [what, { changes, message }] of Object.entries({
  "a model that is larger than the GPU that nvidia-smi shows": {
    changes: { ...NVIDIA_SMI, models: models({ a: { gpu_memory: "30GiB" } }) },
    message: /a.*expected a need that fits on GPU 0 \(24 GiB\), found 30 GiB/,
  },
  "a GPU that nvidia-smi does not show": {
    changes: { ...NVIDIA_SMI, models: models({ a: { gpus: [3] } }) },
    message: /a.*expected GPU 0, found 3: there is no such GPU/,
  },
  "pinned models that do not fit together on what nvidia-smi shows": {
    changes: { ...NVIDIA_SMI, models: models({ a: taking(0.6, { pin: true }), b: taking(0.6, { pin: true }) }) },
    message: /b.*expected pinned models that fit together on GPU 0/,
  },
})) {
  scenario(`llmux does not start with ${what}`, { start: false, gpus: "0:24GiB" }, async (stage) => {
    assert.match(await refused(stage, changes, 1), message);
  });
}

scenario(
  "the memory of the GPUs is read from nvidia-smi where the configuration does not tell it, and models share it",
  {
    gpus: "0:24GiB,1:24GiB",
    top: NVIDIA_SMI,
    models: { a: taking(0.4), b: taking(0.4), c: taking(0.4), d: taking(0.4) },
  },
  async (stage) => {
    await Promise.all(["a", "b", "c", "d"].map((name) => stage.client.ask(name)));
    assert.deepEqual((await stage.status()).active, ["a", "b", "c", "d"]);
  },
);
