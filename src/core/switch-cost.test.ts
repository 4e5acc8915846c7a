/** What a switch is believed to cost. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { SwitchCosts } from "./switch-cost.ts";

describe("the cost of a switch", () => {
  it("is a guess until it has been measured, then the measurement, then a moving average", () => {
    const costs = new SwitchCosts();
    assert.equal(costs.estimateMs(["a"], "b"), 3000);
    assert.equal(costs.observe(["a"], "b", 1000), 1000);
    assert.equal(costs.observe(["a"], "b", 2000), 1300);
    assert.equal(costs.estimateMs(["a"], "b"), 1300);
  });

  it("is kept apart for each direction, for nobody who leaves, and for several", () => {
    const costs = new SwitchCosts();
    costs.observe(["a"], "b", 1);
    costs.observe([], "b", 2);
    costs.observe(["a", "c"], "b", 3);
    assert.equal(costs.estimateMs(["b"], "a"), 3000);
    assert.deepEqual(
      [costs.estimateMs(["a"], "b"), costs.estimateMs([], "b"), costs.estimateMs(["a", "c"], "b")],
      [1, 2, 3],
    );
  });
});
