/** Configurations under which bounded wait promises more than it can keep. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseConfig } from "./load.ts";

const two = "models: {a: {model_path: x}, b: {model_path: y}}";

/** Line, column and path of each warning. */
function warned(text: string): readonly string[] {
  return parseConfig(text, "f", {}).warnings.map(({ line, column, path }) => `${line}:${column} ${path}`);
}

function speed(sleepS: number, wakeS: number, coldS = 60): string {
  return `simulate: {itl_ms: 1, prefill_tokens_per_s: 1, sleep_s: ${sleepS}, wake_s: ${wakeS}, cold_s: ${coldS}}`;
}

describe("a drain without a limit", () => {
  it("is warned of once, whether bounded-wait is named or not", () => {
    assert.deepEqual(warned(two), ["1:1 policy"]);
    assert.deepEqual(warned(`policy: {policy_type: bounded-wait}\n${two}`), ["1:1 policy"]);
    assert.deepEqual(warned(`port: 1\npolicy: {sleep_level: 2}\n${two}`), ["2:1 policy"]);
    assert.equal(
      parseConfig(two, "f", {}).warnings[0]?.message,
      "policy: bounded-wait cannot promise how long a request waits at most: a model that has to leave first finishes what runs, " +
        "however long that takes; for a promise, limit that with drain_budget_secs or drain_timeout_secs",
    );
  });

  for (const [what, text] of [
    ["there is a timeout", `policy: {drain_timeout_secs: 1m}\n${two}`],
    ["there is a budget", `policy: {drain_budget_secs: 5}\n${two}`],
    ["nothing is drained", `policy: {drain_before_switch: false}\n${two}`],
    ["the policy promises nothing", `policy: {policy_type: fifo}\n${two}`],
    ["there is one model", "models: {a: {model_path: x}}"],
    ["each model has its own GPU", "models: {a: {model_path: x, gpus: [0]}, b: {model_path: y, gpus: [1]}}"],
    [
      "all models fit together",
      "gpus: {0: 80GiB}\nmodels: {a: {model_path: x, gpu_memory: 40GiB}, b: {model_path: y, gpu_memory: 40GiB}}",
    ],
    [
      "each model finds a GPU for itself",
      "gpus: {0: 80GiB, 1: 80GiB}\nmodels: {a: {model_path: x}, b: {model_path: y}}",
    ],
  ] as const) {
    it(`is not warned of where ${what}`, () => assert.deepEqual(warned(text), []));
  }
});

describe("the longest wait", () => {
  it("is refused below what a switch takes", () => {
    assert.throws(() => parseConfig(`policy: {target_wait_secs: 1, max_wait_secs: 6.9}\n${models("")}`, "f", {}), {
      message:
        "f:1:46: policy.max_wait_secs: expected at least what the longest switch takes, 7 s from a to b " +
        "(simulate.sleep_s of the one, simulate.wake_s of the other), found 6.9 s",
    });
  });

  it("counts a start where a model is stopped to make room", () => {
    assert.throws(() => parseConfig(`policy: {max_wait_secs: 1m}\n${models("sleep_level: 3")}`, "f", {}), {
      message:
        "f:1:25: policy.max_wait_secs: expected at least what the longest switch takes, 64 s from a to b " +
        "(simulate.sleep_s of the one, simulate.cold_s of the other), found 60 s",
    });
  });

  for (const [what, text] of [
    ["just as long", `policy: {target_wait_secs: 1, max_wait_secs: 7, drain_budget_secs: 1}\n${models("")}`],
    ["of no concern to the policy", `policy: {policy_type: fifo, max_wait_secs: 1}\n${models("")}`],
    [
      "compared with no switch between models that never meet",
      `policy: {target_wait_secs: 1, max_wait_secs: 6, drain_budget_secs: 1}\ngpus: {0: 1GiB, 1: 1GiB}\n${models("gpus: [0]", "gpus: [1]")}`,
    ],
  ] as const) {
    it(`may be ${what}`, () => assert.deepEqual(warned(text), []));
  }
});

/** Falling asleep takes a 4 s and b 1 s, waking 1 s and 3 s. */
function models(b: string, a = ""): string {
  return `models:\n  a: {model_path: x, ${speed(4, 1)}, ${a}}\n  b: {model_path: y, ${speed(1, 3)}, ${b}}\n  c: {model_path: z}`;
}
