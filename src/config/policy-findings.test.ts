/** Policies whose keys do not fit together. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseConfig } from "./load.ts";

const models = "models: {a: {model_path: x}}";

function policyOf(keys: string) {
  return parseConfig(`policy: {policy_type: bounded-wait, ${keys}}\n${models}`, "f", {});
}

describe("bounded-wait", () => {
  it("is read with its defaults", () => {
    assert.deepEqual(policyOf("drain_timeout_secs: 5").policy, {
      policyType: "bounded-wait",
      requestTimeoutMs: 60_000,
      drainBeforeSwitch: true,
      drainTimeoutMs: 5_000,
      drainBudgetMs: null,
      queueMax: 2000,
      queueTotalMax: 10_000,
      idleSleepMs: null,
      idleStopMs: null,
      sleepLevel: 1,
      targetWaitMs: 25_000,
      maxWaitMs: 120_000,
      forcedShare: 0.1,
    });
  });

  it("is refused when the target is not below the bound", () => {
    assert.throws(
      () => policyOf("target_wait_secs: 3m"),
      /f:1:\d+: policy.target_wait_secs: expected target_wait_secs to be less than max_wait_secs, found 180 s and 120 s/,
    );
    assert.throws(() => policyOf("max_wait_secs: 25"), /policy.max_wait_secs: .* found 25 s and 25 s/);
  });

  it("is refused a share above 1", () => {
    assert.throws(
      () => policyOf("forced_share: 10"),
      /policy.forced_share: expected a share between 0 and 1, found 10/,
    );
  });

  it("warns that a drain without a limit makes every bound impossible", () => {
    assert.match(policyOf("min_active_secs: 1").warnings[0]?.message ?? "", /no bound on waiting can be promised/);
    assert.deepEqual(policyOf("drain_timeout_secs: 1m").warnings, []);
    assert.deepEqual(policyOf("drain_before_switch: false").warnings, []);
  });

  it("takes from --max-num-seqs how many requests an engine runs at once", () => {
    const config = parseConfig(
      "models: {a: {model_path: x, extra_args: [--max-num-seqs, 8, --max_num_seqs=16]}, b: {model_path: y}}",
      "f",
      {},
    );
    assert.deepEqual(
      config.models.map(({ maxNumSeqs }) => maxNumSeqs),
      [16, null],
    );
  });
});
