/** How many may wait, and who is told at once that it would wait for too long. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { SwitchCostEntry } from "./switch-cost.ts";
import { SchedulerOnStage, type StageOptions } from "./testing/scheduler-on-stage.ts";

/** Starts take 90 s, wakes 2 s. */
const KNOWN_COSTS: readonly SwitchCostEntry[] = [
  { from: "idle", to: "a", level: 3, costMs: 90_000 },
  { from: "idle", to: "a", level: 1, costMs: 2_000 },
];

function stageWith(options: Partial<StageOptions> = {}): SchedulerOnStage {
  return new SchedulerOnStage({ models: { a: {}, b: {} }, knownCosts: KNOWN_COSTS, ...options });
}

describe("a full queue", () => {
  it("of one model refuses one more, and has room again when one leaves; other models have room", () => {
    const stage = new SchedulerOnStage({ models: { a: { queueMax: 2 }, b: {} } }).request("a", 1, 2, 3);
    assert.deepEqual(stage.told(), ["start a", "refuse 3 queue_full"]);
    assert.match(stage.reasons.get(3)?.message ?? "", /2 requests wait for model a/);
    stage.abandon(1).request("b", 4).request("a", 5, 6);
    assert.deepEqual(stage.told(), ["refuse 6 queue_full"]);
  });

  it("of all models together refuses whoever comes, for whichever model", () => {
    const stage = new SchedulerOnStage({ models: { a: {}, b: {} }, queueMax: 3 }).request("a", 1, 2).request("b", 3, 4);
    assert.deepEqual(stage.told(), ["start a", "refuse 4 queue_full"]);
    assert.match(stage.reasons.get(4)?.message ?? "", /3 requests wait for all models/);
    stage.awake("a");
    assert.deepEqual(stage.request("b", 5).told(), ["grant 1", "grant 2"]);
  });

  it("does not keep anybody from a model that is awake", () => {
    const stage = new SchedulerOnStage({ models: { a: {}, b: {} }, queueMax: 1 }).bringUp("a", 1).request("a", 2);
    stage.request("b", 3).told();
    assert.equal(stage.state("a"), "draining");
    stage.release(2).asleep("a").awake("b").told();
    assert.deepEqual(stage.request("b", 4, 5, 6).told(), ["grant 4", "grant 5", "grant 6"]);
  });

  it("says when it makes sense to ask again: when a place is free, as far as that is known, within what a request may wait", () => {
    const stage = stageWith({ models: { a: { queueMax: 1 } }, requestTimeoutMs: 60_000 })
      .request("a", 1)
      .pass(50_000);
    assert.equal(stage.request("a", 2).reasons.get(2)?.retryAfterMs, 40_000);
    const unknown = new SchedulerOnStage({ models: { a: { queueMax: 1 } } }).request("a", 1, 2);
    assert.equal(unknown.reasons.get(2)?.retryAfterMs, 1000);
  });
});

describe("a request that would wait for too long", () => {
  it("is told so at once, and after which time it would not", () => {
    const stage = stageWith().request("a", 1).pass(10_000).request("a", 2);
    assert.deepEqual(stage.told(), ["start a", "refuse 2 wait_too_long"]);
    const reason = stage.reasons.get(2);
    assert.equal(reason?.retryAfterMs, 20_000);
    assert.match(reason?.message ?? "", /would wait for 80 s, and may for 60 s \(1 in front of it\)/);
    stage.pass(20_000).request("a", 3);
    assert.deepEqual(stage.told(), [], "it waits");
  });

  it("is never the first for its model: somebody must be there for it to be started", () => {
    const stage = stageWith().request("a", 1);
    assert.deepEqual(stage.told(), ["start a"]);
    stage.pass(60_000);
    assert.deepEqual(stage.told(), ["refuse 1 queue_timeout"], "the start goes on");
    assert.deepEqual(stage.request("a", 2).pass(30_000).awake("a").told(), ["grant 2"]);
  });

  it("is not one for a model that is put to sleep, and is there again soon, though a start of it would take too long", () => {
    const stage = stageWith().bringUp("a", 1).request("a", 2).request("b", 3).told();
    assert.deepEqual(stage, ["grant 2"]);
    const again = stageWith().bringUp("a", 1).request("a", 2).request("b", 3);
    again.told();
    assert.equal(again.state("a"), "draining");
    assert.deepEqual(again.request("a", 4, 5).told(), []);
    again.release(2);
    assert.equal(again.state("a"), "falling asleep");
    assert.deepEqual(again.request("a", 6, 7).told(), ["sleep a 1"]);
  });

  it("is one behind too many who wait, by how long requests have run lately", () => {
    const stage = stageWith({ models: { a: { inFlightMax: 2 } }, requestTimeoutMs: 30_000 }).bringUp("a", 1);
    stage.request("a", 2).pass(100_000).release(2);
    // A tenth of the way from nothing to 100 s: requests run for 10 s.
    stage.request("a", 3, 4, 5, 6, 7, 8, 9).told();
    stage.request("a", 10);
    assert.deepEqual(stage.told(), [], "the sixth in the queue waits for three batches");
    stage.request("a", 11);
    assert.deepEqual(stage.told(), ["refuse 11 wait_too_long"]);
    assert.equal(stage.reasons.get(11)?.retryAfterMs, 5_000);
  });

  it("is not one if those in front of it are less urgent", () => {
    const stage = stageWith({ models: { a: { inFlightMax: 1 } }, requestTimeoutMs: 30_000 }).bringUp("a", 1);
    stage.request("a", 2).pass(100_000).release(2);
    stage.request("a", 3, 4, 5).requestAs("low", "a", 6).told();
    stage.requestAs("low", "a", 7).requestAs("normal", "a", 8).requestAs("high", "a", 9);
    assert.deepEqual(stage.told(), ["refuse 7 wait_too_long"]);
  });
});
