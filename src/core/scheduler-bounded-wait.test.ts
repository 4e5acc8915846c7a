/** Bounded wait in the scheduler: that it is asked whenever its answer may be another one. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { ModelSpec } from "./model.ts";
import { boundedWait } from "./policies/bounded-wait.ts";
import type { Policy } from "./policy.ts";
import { SchedulerOnStage, type StageOptions } from "./testing/scheduler-on-stage.ts";

/** A wake costs 3 s as long as nothing has been measured, so a model may stay for 9 s. */
const ASLEEP: Partial<ModelSpec> = { beginsAsleepAt: 1 };

const USUAL = boundedWait({ targetWaitMs: 25_000, maxWaitMs: 120_000 });

function stageWith(options: Partial<StageOptions> = {}): SchedulerOnStage {
  return new SchedulerOnStage({ models: { a: ASLEEP, b: ASLEEP, c: ASLEEP }, policy: USUAL, ...options });
}

/** `a` is awake, and has been for so long, with this many requests on it. */
function busy(count: number, forMs: number, options: Partial<StageOptions> = {}): SchedulerOnStage {
  const waiters = Array.from({ length: count }, (_, index) => index + 1);
  const stage = stageWith(options)
    .request("a", ...waiters)
    .awake("a")
    .pass(forMs);
  stage.told();
  return stage;
}

describe("a model that waits under bounded wait", () => {
  it("has its turn as soon as enough wait for it", () => {
    const stage = busy(4, 10_000).request("b", 11, 12);
    assert.equal(stage.state("a"), "awake");
    stage.request("b", 13);
    assert.equal(stage.state("a"), "draining");
  });

  it("has its turn as soon as little enough runs", () => {
    const stage = busy(4, 10_000).request("b", 11);
    stage.release([1, 2]);
    assert.equal(stage.state("a"), "awake");
    stage.release(3);
    assert.equal(stage.state("a"), "draining");
  });

  it("has its turn as soon as enough of those have gone that waited for the one that is awake", () => {
    const models = { a: { ...ASLEEP, inFlightMax: 2 }, b: ASLEEP };
    const stage = busy(6, 10_000, { models }).request("b", 11, 12, 13);
    assert.equal(stage.state("a"), "awake", "3 wait, and a has 6 to do");
    stage.abandon(6);
    assert.equal(stage.state("a"), "draining");
  });

  it("has its turn when the stay of the one that is awake is over, if enough have come for it meanwhile", () => {
    const stage = busy(4, 1_000).request("b", 11).pass(1_000).request("b", 12, 13, 14);
    stage.pass(6_999);
    assert.equal(stage.state("a"), "awake");
    stage.pass(1);
    assert.equal(stage.state("a"), "draining");
  });

  it("has its turn when it weighs enough for its own device, whatever weighs on others", () => {
    const wide = { ...ASLEEP, devices: ["0", "1"] };
    const models = { a: ASLEEP, b: ASLEEP, r: { ...ASLEEP, devices: ["1"] }, s: { ...ASLEEP, devices: ["1"] }, wide };
    const stage = busy(40, 0, { models }).request("r", 41, 42, 43, 44).awake("r").pass(10_000);
    stage.request("b", ...Array.from({ length: 10 }, (_, index) => 50 + index)).request("s", 61);
    assert.deepEqual([stage.state("a"), stage.state("r")], ["awake", "awake"]);
    stage.request("s", 62);
    assert.equal(stage.state("r"), "awake");
    stage.request("s", 63);
    assert.deepEqual([stage.state("a"), stage.state("r")], ["awake", "draining"]);
  });

  it("has its turn at the target wait, and before that if nobody uses the one that is awake", () => {
    const options = { forcedCredit: { share: 0.1, capMs: 20_000 } };
    const stage = busy(4, 10_000, options).request("b", 11).pass(21_999);
    assert.equal(stage.state("a"), "awake");
    stage.pass(1);
    assert.equal(stage.state("a"), "draining");
    const idle = busy(1, 1_000, options).request("b", 11).release(1);
    assert.deepEqual(idle.told(), ["sleep a 1"]);
  });
});

describe("low requests under bounded wait", () => {
  const options = { forcedCredit: { share: 0.1, capMs: 20_000 } };
  const many = Array.from({ length: 50 }, (_, index) => 100 + index);

  it("make nobody leave who is used before the target wait, however many they are", () => {
    const stage = busy(2, 10_000, options)
      .requestAs("low", "b", ...many)
      .pass(21_999);
    assert.equal(stage.state("a"), "awake");
    stage.pass(1);
    assert.equal(stage.state("a"), "draining");
  });

  it("have their turn at once when nobody uses the one that is awake", () => {
    const stage = busy(1, 10_000, options).requestAs("low", "b", 11).release(1);
    assert.deepEqual(stage.told(), ["sleep a 1"]);
  });

  it("leave soon for those that are more urgent", () => {
    const stage = stageWith(options).requestAs("low", "a", 1, 2, 3, 4).awake("a").pass(10_000).request("b", 11);
    assert.equal(stage.state("a"), "draining", "four low ones weigh as much as one normal one");
  });

  it("weigh as little when they stand still in their sleeping engine", () => {
    const models = { a: { ...ASLEEP, canSuspend: true }, b: ASLEEP };
    const stage = stageWith({ ...options, models, drainBudgetMs: 0 })
      .requestAs("low", "a", ...many)
      .awake("a");
    stage.pass(10_000).requestAs("high", "b", ...many.map((id) => id + 1000));
    stage.pass(0).asleep("a").awake("b").told();
    assert.equal(stage.model("a").suspended, 50);
    stage.release(many.slice(1).map((id) => id + 1000)).pass(15_000);
    assert.equal(stage.state("b"), "awake", "one high one runs, and 50 low ones stand still");
    stage.pass(10_000);
    assert.equal(stage.state("b"), "draining");
  });
});

describe("a high request under bounded wait", () => {
  it("has its model come sooner than as many normal ones", () => {
    const stage = busy(7, 10_000).request("b", 11, 12, 13);
    assert.equal(stage.state("a"), "awake");
    const urgent = busy(7, 10_000).requestAs("high", "b", 11);
    assert.equal(urgent.state("a"), "draining");
  });
});

describe("a policy that says for how long its answer holds", () => {
  it("is not asked meanwhile, and is when that is over", () => {
    let asked = 0;
    const counting: Policy = (view) => {
      asked += 1;
      return USUAL(view);
    };
    const stage = busy(10, 10_000, { policy: counting }).request("b", 11);
    asked = 0;
    stage.request("a", 12, 13, 14).request("b", 15).release([12, 13, 14]);
    assert.equal(asked, 0);
    stage.request("b", 16, 17);
    assert.equal(asked, 1, "three are half-way between one and five, four are more");
  });
});
