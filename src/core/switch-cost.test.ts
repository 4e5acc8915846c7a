/** What a switch is believed to cost. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { SwitchCosts } from "./switch-cost.ts";

describe("the cost of a switch", () => {
  it("is a guess until it has been measured, then the measurement, then a moving average", () => {
    const costs = new SwitchCosts();
    assert.equal(costs.estimateMs(["a"], "b", 1), 3000);
    assert.equal(costs.observe(["a"], "b", 1, 1000), 1000);
    assert.equal(costs.observe(["a"], "b", 1, 2000), 1300);
    assert.equal(costs.estimateMs(["a"], "b", 1), 1300);
  });

  it("is kept apart for each direction, for nobody who leaves, and for several", () => {
    const costs = new SwitchCosts();
    costs.observe(["a"], "b", 1, 1);
    costs.observe([], "b", 1, 2);
    costs.observe(["a", "c"], "b", 1, 3);
    assert.equal(costs.estimateMs(["b"], "a", 1), 3000);
    assert.deepEqual(
      [costs.estimateMs(["a"], "b", 1), costs.estimateMs([], "b", 1), costs.estimateMs(["a", "c"], "b", 1)],
      [1, 2, 3],
    );
  });

  it("is kept apart by the level from which the one that comes is brought up, each with a guess of its own", () => {
    const costs = new SwitchCosts();
    assert.deepEqual(
      ([1, 2, 3] as const).map((level) => costs.estimateMs(["a"], "b", level)),
      [3_000, 6_000, 30_000],
    );
    costs.observe(["a"], "b", 3, 70_000);
    assert.equal(costs.estimateMs(["a"], "b", 3), 70_000);
    assert.equal(costs.estimateMs(["a"], "b", 1), 3_000);
  });

  it("of a pair that has not met is what the one that comes has cost beside others", () => {
    const costs = new SwitchCosts();
    costs.observe(["a"], "b", 1, 1000);
    costs.observe(["c"], "b", 1, 2000);
    assert.equal(costs.estimateMs(["d"], "b", 1), 1300);
    assert.equal(costs.measuredMs(["d"], "x", 1), null);
  });

  it("outlives a run", () => {
    const costs = new SwitchCosts();
    costs.observe(["a", "c"], "b", 2, 1000);
    costs.observe([], "a", 3, 40_000);
    const next = new SwitchCosts(JSON.parse(JSON.stringify(costs.entries())));
    assert.equal(next.estimateMs(["a", "c"], "b", 2), 1000);
    assert.equal(next.estimateMs([], "a", 3), 40_000);
    assert.deepEqual(next.entries(), costs.entries());
  });
});
