/** Whether bounded wait can promise what it is there to promise, on the GPUs and with the models that there are. */

import type { DeviceId } from "../core/model.ts";
import type { Config, ModelConfig } from "./config.ts";
import type { Finding } from "./finding.ts";
import { crowdedDevices, type PlacementPlan } from "./placement-plan.ts";

/** Checks a complete configuration; where no model ever has to leave for another, there is nothing to check. */
export function promiseFindings(config: Pick<Config, "policy" | "models">, plan: PlacementPlan): Finding[] {
  const { policy, models } = config;
  if (policy.policyType !== "bounded-wait") return [];
  const crowded = crowdedDevices(plan);
  if (crowded.size === 0) return [];
  const findings: Finding[] = [];
  const costliest = costliestSwitch(models, plan, crowded);
  if (costliest !== null && policy.maxWaitMs < costliest.durationMs) {
    const { from, to, wakeKey, durationMs } = costliest;
    const message =
      `expected at least what the longest switch takes, ${durationMs / 1000} s from ${from.name} to ${to.name} ` +
      `(simulate.sleep_s of the one, simulate.${wakeKey} of the other), found ${policy.maxWaitMs / 1000} s`;
    findings.push({ severity: "error", path: ["policy", "max_wait_secs"], message });
  }
  if (policy.drainBeforeSwitch && policy.drainTimeoutMs === null && policy.drainBudgetMs === null) {
    // A model that must leave may be held by its longest request: without a limit there, no wait has a bound.
    const message =
      "bounded-wait cannot promise how long a request waits at most: a model that has to leave first finishes what runs, " +
      "however long that takes; for a promise, limit that with drain_budget_secs or drain_timeout_secs";
    findings.push({ severity: "warning", path: ["policy"], message, onKey: true });
  }
  return findings;
}

interface SwitchCost {
  readonly from: ModelConfig;
  readonly to: ModelConfig;
  readonly wakeKey: "wake_s" | "cold_s";
  readonly durationMs: number;
}

/** The longest switch between two models that may have to make room for each other, as far as their `simulate` says; null if it does not. */
function costliestSwitch(
  models: readonly ModelConfig[],
  plan: PlacementPlan,
  crowded: ReadonlySet<DeviceId>,
): SwitchCost | null {
  const devicesOf = new Map(plan.placements.map(({ model, devices }) => [model, devices]));
  let costliest: SwitchCost | null = null;
  for (const device of crowded) {
    const there = models.filter(({ name }) => devicesOf.get(name)?.includes(device) === true);
    const bySleep = there.toSorted((a, b) => (b.simulate?.sleepMs ?? -1) - (a.simulate?.sleepMs ?? -1));
    for (const to of there) {
      const from = bySleep.find((model) => model !== to);
      if (to.simulate === null || from === undefined || from.simulate === null) continue;
      // From level 3 there is no wake but a start.
      const wakeKey = to.sleepLevel === 3 ? "cold_s" : "wake_s";
      const durationMs = from.simulate.sleepMs + (to.sleepLevel === 3 ? to.simulate.coldMs : to.simulate.wakeMs);
      if (durationMs > (costliest?.durationMs ?? 0)) costliest = { from, to, wakeKey, durationMs };
    }
  }
  return costliest;
}
