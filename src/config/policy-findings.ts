/** What the keys of a policy say together: times that contradict each other, and keys that nothing looks at. */

import { parseDuration, secondsToMs } from "../base/duration.ts";
import type { Draft } from "./draft.ts";
import type { Finding } from "./finding.ts";
import { policySchema } from "./policy-schema.ts";

type DraftPolicy = Readonly<Record<string, unknown>>;

/** Checks `policy`. */
export function policyFindings({ policy = {} }: Draft): Finding[] {
  return [...waitFindings(policy), ...drainFindings(policy), ...forgottenFindings(policy)];
}

function waitFindings(policy: DraftPolicy): Finding[] {
  const defaults = policySchema.parse({});
  if ((policy["policy_type"] ?? defaults.policy_type) !== "bounded-wait") return [];
  const targetMs = durationMs(policy["target_wait_secs"], defaults.target_wait_secs);
  const maxMs = durationMs(policy["max_wait_secs"], defaults.max_wait_secs);
  if (targetMs === undefined || maxMs === undefined || targetMs < maxMs) return [];
  const key = policy["max_wait_secs"] === undefined ? "target_wait_secs" : "max_wait_secs";
  const message = `expected target_wait_secs to be less than max_wait_secs, found ${targetMs / 1000} s and ${maxMs / 1000} s`;
  return [{ severity: "error", path: ["policy", key], message }];
}

/** What becomes of requests that still run can be said once only. */
function drainFindings(policy: DraftPolicy): Finding[] {
  if (!isSet(policy["drain_budget_secs"])) return [];
  const path = ["policy", "drain_budget_secs"];
  if (isSet(policy["drain_timeout_secs"])) {
    const message =
      "expected drain_budget_secs or drain_timeout_secs, found both: what still runs is suspended at the budget and aborted at the timeout";
    return [{ severity: "error", path, message }];
  }
  if (policy["drain_before_switch"] === false) {
    const message =
      "expected no drain_budget_secs beside drain_before_switch: false, which aborts what still runs at once; " +
      "to suspend it at once write drain_budget_secs: 0 alone";
    return [{ severity: "error", path, message }];
  }
  return [];
}

/** `min_active_secs` without the policy it belongs to: such a file was written when fifo was the default. */
function forgottenFindings(policy: DraftPolicy): Finding[] {
  if (policy["policy_type"] !== undefined || policy["min_active_secs"] === undefined) return [];
  const message = "only fifo looks at it, and the policy is bounded-wait unless policy_type: fifo is written";
  return [{ severity: "warning", path: ["policy", "min_active_secs"], message, onKey: true }];
}

function isSet(value: unknown): boolean {
  return typeof value === "number" || typeof value === "string";
}

function durationMs(value: unknown, fallbackMs: number): number | undefined {
  if (value === undefined) return fallbackMs;
  if (typeof value === "number") return secondsToMs(value);
  return typeof value === "string" ? parseDuration(value) : undefined;
}
