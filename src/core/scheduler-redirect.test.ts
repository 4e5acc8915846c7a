/** Demand moves while a model drains: the room that was made may go to another one than the one for whom it was. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { ModelSpec } from "./model.ts";
import { boundedWait } from "./policies/bounded-wait.ts";
import { SchedulerOnStage, type StageOptions } from "./testing/scheduler-on-stage.ts";

const GIB = 1024 ** 3;
const ASLEEP: Partial<ModelSpec> = { beginsAsleepAt: 1 };
const POLICY = boundedWait({ targetWaitMs: 25_000, maxWaitMs: 120_000 });

function stageWith(options: Partial<StageOptions> = {}): SchedulerOnStage {
  return new SchedulerOnStage({ models: { a: ASLEEP, b: ASLEEP, c: ASLEEP }, policy: POLICY, ...options });
}

/** `a` drains for `b`, for which one request waits. */
function draining(options: Partial<StageOptions> = {}): SchedulerOnStage {
  const stage = stageWith(options).request("a", 1).awake("a").pass(10_000).request("b", 2);
  stage.told();
  assert.equal(stage.state("a"), "draining");
  return stage.pass(1_000);
}

describe("a switch whose drain has ended", () => {
  it("goes to the model that is worth most by then, and the other one has its turn afterwards", () => {
    const stage = draining().request("c", 3, 4, 5).release(1);
    assert.deepEqual(stage.told(), ["sleep a 1"]);
    assert.deepEqual(stage.asleep("a").told(), ["wake c 1"]);
    assert.deepEqual(
      stage.entries("switch redirected").map(({ from, before, to }) => ({ from, before, to })),
      [{ from: ["a"], before: "b", to: "c" }],
    );
    stage.awake("c").release([3, 4, 5]).asleep("c");
    assert.deepEqual(stage.told(), ["grant 3", "grant 4", "grant 5", "sleep c 1", "wake b 1"]);
  });

  it("goes to the model for which it began if that is still worth most", () => {
    const stage = draining().request("b", 3).request("c", 4).release(1).asleep("a");
    assert.deepEqual(stage.told(), ["sleep a 1", "wake b 1"]);
    assert.deepEqual(stage.entries("switch redirected"), []);
  });

  it("goes to one that is overdue before all others", () => {
    const policy = boundedWait({ targetWaitMs: 1_000, maxWaitMs: 4_000 });
    const stage = draining({ policy }).request("c", 3, 4, 5).release(1).asleep("a");
    assert.deepEqual(stage.told(), ["sleep a 1", "wake b 1"]);
  });

  it("goes where it was to go under a policy that does not choose again", () => {
    const stage = new SchedulerOnStage({ models: { a: ASLEEP, b: ASLEEP, c: ASLEEP } }).request("a", 1).awake("a");
    stage.pass(10_000).request("b", 2).pass(1_000).request("c", 3, 4, 5).release(1).asleep("a");
    assert.deepEqual(stage.told(), ["wake a 1", "grant 1", "sleep a 1", "wake b 1"]);
  });

  it("does not go to the model that was drained, whatever waits for it by then", () => {
    const stage = draining().request("a", 3, 4, 5, 6, 7).release(1).asleep("a");
    assert.deepEqual(stage.told(), ["sleep a 1", "wake b 1"]);
  });

  it("does not go to one whose engine is being stopped", () => {
    const stage = draining().crashed("c").request("c", 3, 4, 5).release(1);
    assert.deepEqual(stage.told(), ["stop c", "sleep a 1"]);
    assert.deepEqual(stage.asleep("a").told(), []);
    assert.deepEqual(stage.stopped("c").told(), ["wake b 1"]);
  });

  it("ends as ever when nobody waits for the one that has taken it over", () => {
    const stage = draining().request("c", 3).request("c", 4).release(1);
    stage.abandon(3).abandon(4).told();
    assert.deepEqual(stage.asleep("a").told(), ["wake b 1"], "b has waited on, and the device is free");
  });
});

describe("a redirected switch that had more room made than it needs", () => {
  const LEFT = { ...ASLEEP, devices: ["0"] };
  const RIGHT = { ...ASLEEP, devices: ["1"] };
  const WIDE = { ...ASLEEP, devices: ["0", "1"] };

  it("lets the others stay, and their device is free for what waits there", () => {
    const stage = stageWith({ models: { l: LEFT, m: LEFT, r: RIGHT, s: RIGHT, wide: WIDE } });
    stage.request("l", 1).request("r", 2).awake("l").awake("r").pass(10_000).request("wide", 3, 4).pass(1_000);
    stage.request("m", 11, 12, 13, 14, 15, 16).request("r", 21).release(1).told();
    assert.deepEqual([stage.state("l"), stage.state("r")], ["draining", "draining"]);
    stage.release(2);
    assert.deepEqual(stage.told(), ["grant 21", "sleep l 1"]);
    assert.equal(stage.state("r"), "awake");
    stage.release(21);
    assert.deepEqual(stage.request("s", 31).told(), ["sleep r 1"]);
    assert.deepEqual(stage.asleep("l").asleep("r").told(), ["wake m 1", "wake s 1"]);
  });

  it("does not end the processes of sleepers that only the other one needed", () => {
    const spec = (gib: number): Partial<ModelSpec> => ({ needBytes: gib * GIB, beginsAsleepAt: 1 });
    const models = { a: spec(40), big: spec(72), small: spec(50), s: spec(9), t: spec(9) };
    const stage = stageWith({ models, devices: [{ id: "0", memoryBytes: 80 * GIB }] });
    stage.request("a", 1).awake("a").pass(10_000).request("big", 2).pass(1_000).request("small", 3, 4, 5, 6).told();
    assert.deepEqual(stage.release(1).told(), ["sleep a 1"], "and nobody is stopped");
    assert.deepEqual(stage.asleep("a").told(), ["wake small 1"]);
  });

  it("does not go to a model that fits beside the one that was drained: that takes its room from nobody", () => {
    const spec = (gib: number): Partial<ModelSpec> => ({ needBytes: gib * GIB, beginsAsleepAt: 1 });
    const models = { a: spec(40), big: spec(60), tiny: spec(10) };
    const stage = stageWith({ models, devices: [{ id: "0", memoryBytes: 80 * GIB }] });
    stage.request("a", 1).awake("a").pass(10_000).request("big", 2).pass(1_000).request("tiny", 3, 4, 5, 6).told();
    assert.deepEqual(stage.release(1).asleep("a").told(), ["sleep a 1", "wake big 1"]);
    assert.deepEqual(stage.awake("big").told(), ["grant 2", "wake tiny 1"]);
  });
});
