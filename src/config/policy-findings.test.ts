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

  it("warns of a time that only fifo looks at where the file names no policy", () => {
    const warned = parseConfig(`policy: {min_active_secs: 5}\n${models}`, "f", {}).warnings;
    assert.deepEqual(
      warned.map(({ line, column, message }) => `${line}:${column} ${message}`),
      [
        "1:10 policy.min_active_secs: only fifo looks at it, and the policy is bounded-wait unless policy_type: fifo is written",
      ],
    );
    assert.deepEqual(policyOf("min_active_secs: 5").warnings, []);
    assert.deepEqual(parseConfig(`policy: {policy_type: fifo, min_active_secs: 5}\n${models}`, "f", {}).warnings, []);
  });
});

describe("fifo", () => {
  it("may have times that bounded-wait would refuse, and idle times and a drain budget of its own", () => {
    const { policy } = parseConfig(
      `policy: {policy_type: fifo, target_wait_secs: 3m, drain_budget_secs: 0, idle_sleep_secs: 5m, idle_stop_secs: 1h}\n${models}`,
      "f",
      {},
    );
    assert.deepEqual(
      [policy.drainBudgetMs, policy.drainTimeoutMs, policy.idleSleepMs, policy.idleStopMs],
      [0, null, 300_000, 3_600_000],
    );
  });
});
