/** The bound on waiting says something: fifo keeps it, comes near it, and an unfair policy breaks it. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { longestWaitsMs } from "./longest-wait.ts";
import { generateScenario } from "./scenario-generator.ts";
import type { Scenario } from "./scenario.ts";
import { simulate } from "./simulate.ts";

describe("the longest wait", () => {
  const calm = Array.from({ length: 500 }, (_, index) => generateScenario(index + 1)).filter(isCalm);

  it("is kept under fifo, and half of it is needed", () => {
    const longest = Math.max(...calm.map(shareUsed));
    assert.ok(longest <= 1 && longest > 0.5, `the longest wait was ${longest} of its bound`);
  });

  it("is exceeded by a policy that prefers those who came last", () => {
    const longest = Math.max(...calm.map((scenario) => shareUsed({ ...scenario, policy: "newest first" })));
    assert.ok(longest > 1.2, `the longest wait was ${longest} of the bound`);
  });
});

function isCalm(scenario: Scenario): boolean {
  return scenario.requestTimeoutMs === 2 * Math.max(...longestWaitsMs(scenario).values());
}

/** How much of its bound the longest wait of a scenario used up. */
function shareUsed(scenario: Scenario): number {
  const boundsMs = longestWaitsMs(scenario);
  const plans = new Map(scenario.requests.map((plan) => [plan.id, plan]));
  let share = 0;
  for (const line of simulate(scenario, { keepLines: true }).lines) {
    const [, seconds, waiter] = /^ *([\d.]+) s {2}→ (?:grant|refuse).* #(\d+)$/.exec(line) ?? [];
    const plan = plans.get(Number(waiter));
    if (plan === undefined) continue;
    share = Math.max(share, (Number(seconds) * 1000 - plan.atMs) / (boundsMs.get(plan.model) ?? 0));
  }
  return share;
}
