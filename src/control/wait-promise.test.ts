import { equal, match } from "node:assert/strict";
import { describe, it } from "node:test";
import { parseConfig } from "../config/load.ts";
import { waitPromise } from "./wait-promise.ts";

function noBoundBecause(policy: string): string | null {
  const { policy: parsed } = parseConfig(`policy: {${policy}}\nmodels: {a: {model_path: x}}\n`, "x.yaml", {});
  return waitPromise(parsed).noBoundBecause;
}

describe("what a configuration promises", () => {
  it("is nothing where a drain may take any time, and that is the reason given", () => {
    match(noBoundBecause("policy_type: bounded-wait") ?? "", /finishes what runs, however long that takes/);
  });

  it("is a bound wherever a drain is limited", () => {
    equal(noBoundBecause("drain_budget_secs: 5"), null);
    equal(noBoundBecause("drain_timeout_secs: 5"), null);
    equal(noBoundBecause("drain_before_switch: false"), null);
  });

  it("is nothing under fifo", () => {
    match(noBoundBecause("policy_type: fifo, drain_timeout_secs: 5") ?? "", /fifo promises none/);
  });
});
