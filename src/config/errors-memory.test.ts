/** Every mistake about memory, GPUs and times that a configuration can contain, with its place. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseConfig } from "./load.ts";
import { errorLines } from "./testing/error-lines.ts";

const a = "models: {a: {model_path: x}}";
const size = "expected a size with a unit such as 20GiB";
const speed = "simulate: {itl_ms: 1, prefill_tokens_per_s: 1, sleep_s: 4, wake_s: 2}";

/** [what is wrong, the file, the whole of what is said]. */
const mistakes: readonly (readonly [string, string, ...string[]])[] = [
  ["a GPU's size without a unit", `gpus: {0: 80}\n${a}`, `f:1:11: gpus.0: ${size}, found 80`],
  ["a GPU's size that is no text", `gpus: {0: [80GiB]}\n${a}`, `f:1:11: gpus.0: ${size}, found a list of 1`],
  ["a GPU's size of nothing", `gpus: {0: }\n${a}`, `f:1:11: gpus.0: ${size}, found nothing`],
  [
    "a model's memory without a unit",
    "models: {a: {model_path: x, gpu_memory: 20}}",
    `f:1:41: models.a.gpu_memory: ${size}, found 20`,
  ],
  [
    "a model's memory in quotes without a unit",
    'models: {a: {model_path: x, gpu_memory: "20"}}',
    `f:1:41: models.a.gpu_memory: ${size}, found the text "20"`,
  ],
  [
    "a model's memory in half a unit",
    "models: {a: {model_path: x, gpu_memory: 20G}}",
    `f:1:41: models.a.gpu_memory: ${size}, found the text "20G"`,
  ],
  [
    "a model's memory from a variable without a unit",
    "models: {a: {model_path: x, gpu_memory: '${SIZE}'}}",
    `f:1:41: models.a.gpu_memory: ${size}, found what "\${SIZE}" stands for`,
  ],
  [
    "no memory",
    "models: {a: {model_path: x, gpu_memory: 0GiB}}",
    `f:1:41: models.a.gpu_memory: ${size}, found the text "0GiB"`,
  ],
  [
    "less than no memory",
    "models: {a: {model_path: x, gpu_memory: -1GiB}}",
    `f:1:41: models.a.gpu_memory: ${size}, found the text "-1GiB"`,
  ],
  [
    "a model's part of the host's memory without a unit",
    "models: {a: {model_path: x, host_memory: 16.5}}",
    `f:1:42: models.a.host_memory: ${size}, found 16.5`,
  ],
  [
    "the host's memory without a unit",
    `host_memory_for_sleep: 64\n${a}`,
    `f:1:24: host_memory_for_sleep: ${size}, found 64`,
  ],
  [
    "GPUs in a list",
    `gpus: [80GiB, 80GiB]\n${a}`,
    "f:1:7: gpus: expected a mapping of GPU ids to sizes, such as {0: 80GiB, 1: 80GiB}, found a list of 2",
  ],
  ["no GPU", `gpus: {}\n${a}`, "f:1:7: gpus: expected at least one GPU, found none"],
  [
    "a GPU that is a name",
    `gpus: {cuda: 80GiB}\n${a}`,
    'f:1:8: gpus.cuda: expected the id of a GPU: 0, 1, 2, …, found "cuda"',
  ],
  ["a GPU below 0", `gpus: {-1: 80GiB}\n${a}`, 'f:1:8: gpus.-1: expected the id of a GPU: 0, 1, 2, …, found "-1"'],
  [
    "a GPU of objects' own",
    `gpus: {0: 80GiB, __proto__: 80GiB}\n${a}`,
    'f:1:18: gpus.__proto__: expected the id of a GPU: 0, 1, 2, …, found "__proto__"',
  ],
  [
    "a GPU given twice",
    `gpus: {0: 80GiB, 0: 40GiB}\n${a}`,
    "f:1:18: 0: expected each key once, found it twice in one mapping",
  ],
  [
    "the GPUs of all in the policy",
    `policy: {gpus: {0: 80GiB}}\n${a}`,
    "f:1:10: policy.gpus: unknown key; it belongs at the top level or under models.<name>",
  ],
  [
    "the size of a GPU's memory by another name",
    "models: {a: {model_path: x, gpu_memry: 20GiB}}",
    "f:1:29: models.a.gpu_memry: unknown key; did you mean gpu_memory?",
  ],
  [
    "a model that fits on none of its GPUs",
    "gpus: {0: 24GiB, 1: 80GiB}\nmodels:\n  a:\n    model_path: x\n    gpus: [0]\n    gpu_memory: 30GiB",
    "f:6:17: models.a.gpu_memory: expected a need that fits on GPU 0 (24 GiB), found 30 GiB",
  ],
  [
    "a model that fits on no GPU",
    "gpus: {0: 24GiB, 1: 16GiB}\nmodels:\n  a: {model_path: x, gpu_memory: 30GiB}",
    "f:3:34: models.a.gpu_memory: expected a need that fits on one of GPU 0 (24 GiB), GPU 1 (16 GiB), found 30 GiB",
  ],
  [
    "a GPU that is not there",
    "gpus: {0: 24GiB}\nmodels:\n  a: {model_path: x, gpus: [7]}",
    "f:3:29: models.a.gpus[0]: expected GPU 0, found 7: there is no such GPU",
  ],
  [
    "more parallelism than GPUs",
    "gpus: {0: 24GiB, 1: 24GiB}\nmodels:\n  a: {model_path: x, extra_args: [--tensor-parallel-size=4]}",
    "f:3:34: models.a.extra_args: expected parallelism over at most 2 GPUs, found that it asks for 4 (tensor × pipeline × data parallelism); there are GPU 0 and 1",
  ],
  [
    "fewer GPUs than the parallelism, whether their sizes are known or not",
    "models:\n  a: {model_path: x, gpus: [0, 1], extra_args: [-tp, 2, --pipeline-parallel-size, 2]}",
    "f:2:28: models.a.gpus: expected as many GPUs as extra_args ask for, 4 (tensor × pipeline × data parallelism), found 2",
  ],
  [
    "pins that do not fit together",
    "gpus: {0: 24GiB}\nmodels:\n  a: {model_path: x, gpu_memory: 20GiB, pin: true}\n  b: {model_path: y, extra_args: [--gpu_memory_utilization, 0.5], pin: true}",
    "f:4:72: models.b.pin: expected pinned models that fit together on GPU 0 (24 GiB), found a 20 GiB, b 12 GiB: 32 GiB",
  ],
  [
    "a model that can never be awake beside a pinned one",
    "gpus: {0: 24GiB}\nmodels:\n  a: {model_path: x, gpu_memory: 20GiB, pin: true}\n  b: {model_path: y, gpu_memory: 5GiB}",
    "f:4:3: models.b: expected room beside a, pinned on GPU 0, found 4 GiB left of 24 GiB and a need of 5 GiB: it can never be awake",
  ],
  [
    "a model of unknown need beside a pinned one",
    "gpus: {0: 24GiB}\nmodels:\n  a: {model_path: x, gpu_memory: 20GiB, pin: true}\n  b: {model_path: y}",
    "f:4:3: models.b.gpu_memory: expected a size, since a is pinned on GPU 0, where it is too, found none, nor --gpu-memory-utilization in extra_args",
  ],
  [
    "a longest wait below the longest switch",
    `policy: {target_wait_secs: 1, max_wait_secs: 5}\nmodels:\n  a: {model_path: x, ${speed}}\n  b: {model_path: y, ${speed}}`,
    "f:1:46: policy.max_wait_secs: expected at least what the longest switch takes, 6 s from b to a (simulate.sleep_s of the one, simulate.wake_s of the other), found 5 s",
  ],
  [
    "a longest wait below the target",
    `policy: {target_wait_secs: 30, max_wait_secs: 20}\n${a}`,
    "f:1:47: policy.max_wait_secs: expected target_wait_secs to be less than max_wait_secs, found 30 s and 20 s",
  ],
  [
    "a target above the default of the longest wait",
    `policy: {target_wait_secs: 3m}\n${a}`,
    "f:1:28: policy.target_wait_secs: expected target_wait_secs to be less than max_wait_secs, found 180 s and 120 s",
  ],
  [
    "two answers to what becomes of requests that still run",
    `policy: {drain_timeout_secs: 5, drain_budget_secs: 6}\n${a}`,
    "f:1:52: policy.drain_budget_secs: expected drain_budget_secs or drain_timeout_secs, found both: what still runs is suspended at the budget and aborted at the timeout",
  ],
  [
    "a budget for a drain that there is not",
    `policy: {drain_before_switch: false, drain_budget_secs: 6}\n${a}`,
    "f:1:57: policy.drain_budget_secs: expected no drain_budget_secs beside drain_before_switch: false, which aborts what still runs at once; to suspend it at once write drain_budget_secs: 0 alone",
  ],
  [
    "a queue for nobody",
    `policy: {max_queued: 0}\n${a}`,
    "f:1:22: policy.max_queued: expected a whole number of requests, at least 1, found 0",
  ],
  [
    "a queue for half a request",
    `policy: {max_queued_total: 1.5}\n${a}`,
    "f:1:28: policy.max_queued_total: expected a whole number of requests, at least 1, found 1.5",
  ],
  [
    "a model's queue in words",
    "models: {a: {model_path: x, max_queued: many}}",
    'f:1:41: models.a.max_queued: expected a whole number of requests, at least 1, found the text "many"',
  ],
  [
    "an unknown priority",
    "models: {a: {model_path: x, priority: urgent}}",
    'f:1:39: models.a.priority: expected a priority: low, normal or high, found the text "urgent"',
  ],
  [
    "a pin that is neither true nor false",
    "models: {a: {model_path: x, pin: yes, preload: 1, suspend: keep}}",
    'f:1:34: models.a.pin: expected true or false, found the text "yes"',
    "f:1:48: models.a.preload: expected true or false, found 1",
    'f:1:60: models.a.suspend: expected true or false, found the text "keep"',
  ],
  ["preload in words", `preload: all\n${a}`, 'f:1:10: preload: expected true or false, found the text "all"'],
  [
    "a trace in somebody else's home directory",
    `record_trace: ~ada/x.csv\n${a}`,
    'f:1:15: record_trace: expected the path of a file; ~ before a / is the home directory, found the text "~ada/x.csv"',
  ],
  [
    "a trace of no name",
    `record_trace: ""\n${a}`,
    "f:1:15: record_trace: expected the path of a file; ~ before a / is the home directory, found an empty text",
  ],
];

describe("a configuration with a mistake about memory, GPUs or times", () => {
  for (const [what, text, ...said] of mistakes) {
    it(`is refused for ${what}, with the place and what was expected and found`, () => {
      assert.deepEqual(errorLines(text, { SIZE: "20" }), said);
    });
  }

  it("is told what does not fit together with the other mistakes", () => {
    const lines = errorLines(
      "gpus: {0: 24GiB}\nmodels:\n  a: {model_path: x, gpu_memory: 30GiB}\n  b: {model_path: y, port: 3000, gpus: [2]}",
    );
    assert.deepEqual(
      lines.map((line) => line.split(": ").slice(0, 2).join(" ")),
      ["f:3:34 models.a.gpu_memory", "f:4:28 models.b.port", "f:4:41 models.b.gpus[0]"],
    );
  });
});

describe("a configuration with GPUs that are probably not meant so", () => {
  it("loads with a warning for more GPUs than the parallelism asks for", () => {
    assert.deepEqual(warned("gpus: [0, 1]"), [
      "35 models.a.gpus: expected as many GPUs as extra_args ask for, 1 (tensor × pipeline × data parallelism), found 2: " +
        "its engine leaves the last of them idle, and llmux keeps others away from them",
    ]);
    assert.deepEqual(warned("gpus: [0, 1], extra_args: [-tp, 2]"), []);
    assert.deepEqual(warned("gpus: [0, 1], extra_args: [--config, engine.yaml]"), []);
  });

  it("loads with a warning where gpu_memory is not what the engine is told to take", () => {
    const text =
      "gpus: {0: 80GiB}\nmodels: {a: {model_path: x, gpu_memory: 20GiB, extra_args: [--gpu-memory-utilization=0.9]}}";
    assert.deepEqual(
      parseConfig(text, "f", {}).warnings.map(({ line, column, path }) => `${line}:${column} ${path}`),
      ["2:41 models.a.gpu_memory"],
    );
  });
});

function warned(model: string): readonly string[] {
  const { warnings } = parseConfig(`models: {a: {model_path: x, ${model}}}`, "f", {});
  return warnings.map(({ column, message }) => `${column} ${message}`);
}
