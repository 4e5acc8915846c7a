/** What the keys of a policy say together: times that contradict each other, and promises that cannot be kept. */

import { parseDuration, secondsToMs } from "../base/duration.ts";
import type { Draft, Finding } from "./draft.ts";

/** As in the schema; what is left out counts as this. */
const targetWaitMsDefault = 25_000;
const maxWaitMsDefault = 120_000;

/** Checks `policy`. */
export function policyFindings({ policy }: Draft): Finding[] {
  if (policy?.["policy_type"] !== "bounded-wait") return [];
  return [...waitFindings(policy), ...boundFindings(policy)];
}

function waitFindings(policy: Readonly<Record<string, unknown>>): Finding[] {
  const targetMs = durationMs(policy["target_wait_secs"], targetWaitMsDefault);
  const maxMs = durationMs(policy["max_wait_secs"], maxWaitMsDefault);
  if (targetMs === undefined || maxMs === undefined || targetMs < maxMs) return [];
  const key = policy["max_wait_secs"] === undefined ? "target_wait_secs" : "max_wait_secs";
  const message = `expected target_wait_secs to be less than max_wait_secs, found ${targetMs / 1000} s and ${maxMs / 1000} s`;
  return [{ severity: "error", path: ["policy", key], message }];
}

/** A model that must leave may be held by its longest request: without a limit there, no wait has a bound. */
function boundFindings(policy: Readonly<Record<string, unknown>>): Finding[] {
  const hasLimit = typeof policy["drain_timeout_secs"] === "number" || typeof policy["drain_timeout_secs"] === "string";
  if (hasLimit || policy["drain_before_switch"] === false) return [];
  const message =
    "expected drain_timeout_secs, found none: a switch then waits for the longest request that runs, and no bound on waiting can be promised";
  return [{ severity: "warning", path: ["policy", "policy_type"], message }];
}

function durationMs(value: unknown, fallbackMs: number): number | undefined {
  if (value === undefined) return fallbackMs;
  if (typeof value === "number") return secondsToMs(value);
  return typeof value === "string" ? parseDuration(value) : undefined;
}
