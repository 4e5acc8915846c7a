/** Models that are brought up before anybody asks for them. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { ModelSpec } from "./model.ts";
import { SchedulerOnStage } from "./testing/scheduler-on-stage.ts";

function begun(models: Readonly<Record<string, Partial<Omit<ModelSpec, "id">>>>): SchedulerOnStage {
  const stage = new SchedulerOnStage({ models });
  stage.scheduler.onStarted(stage.nowMs);
  return stage;
}

/** It is pinned, and was there when its engine died; everything of it is gone. */
function diedWhilePinned(): SchedulerOnStage {
  const stage = begun({ a: { pinned: true, preload: true } }).awake("a");
  stage.told();
  return stage.crashed("a").stopped("a");
}

describe("preloading", () => {
  it("brings one up after another and puts them to sleep", () => {
    const stage = begun({ a: { preload: true }, b: {}, c: { preload: true } });
    assert.deepEqual(stage.told(), ["start a"]);
    assert.deepEqual(stage.awake("a").told(), ["sleep a 1"]);
    assert.deepEqual(stage.asleep("a").told(), ["start c"]);
    assert.deepEqual(stage.awake("c").asleep("c").told(), ["sleep c 1"]);
    assert.deepEqual(stage.pass(5_000).told(), []);
    assert.equal(stage.alarmAtMs, null);
  });

  it("does not try one again whose start has failed, and goes on with the next", () => {
    const stage = begun({ a: { preload: true }, b: { preload: true } })
      .wakeFailed("a")
      .stopped("a")
      .awake("b");
    stage.asleep("b").told();
    assert.deepEqual(stage.pass(3_600_000).told(), []);
  });

  it("leaves one alone that an operator has stopped meanwhile", () => {
    const stage = begun({ a: { preload: true } });
    assert.equal(stage.operator("a", "stop"), null);
    stage.stopped("a").told();
    assert.deepEqual(stage.pass(3_600_000).told(), []);
  });
});

describe("a pinned model", () => {
  it("is brought up with llmux and stays awake, unless it is not to be preloaded", () => {
    const stage = begun({ a: { pinned: true, preload: true }, b: { pinned: true, devices: ["1"] } });
    assert.deepEqual(stage.told(), ["start a"]);
    assert.deepEqual(stage.awake("a").pass(3_600_000).told(), []);
    assert.equal(stage.state("a"), "awake");
  });

  it("comes up again when its engine dies, without anybody asking", () => {
    assert.deepEqual(diedWhilePinned().told(), ["stop a", "start a"]);
  });

  it("is tried again and again when it does not come up, after longer and longer waits", () => {
    const stage = diedWhilePinned().wakeFailed("a").stopped("a");
    stage.told();
    assert.deepEqual(stage.pass(3_000).told(), []);
    assert.deepEqual(stage.pass(2_000).told(), ["start a"]);
    stage.wakeFailed("a").stopped("a").told();
    assert.deepEqual(stage.pass(7_000).told(), []);
    assert.deepEqual(stage.pass(2_000).awake("a").told(), ["start a"]);
    assert.deepEqual(stage.pass(3_600_000).told(), []);
  });

  it("does not come up again when an operator has stopped it", () => {
    const stage = begun({ a: { pinned: true, preload: true } }).awake("a");
    assert.equal(stage.operator("a", "stop"), null);
    stage.stopped("a").told();
    assert.deepEqual(stage.pass(3_600_000).told(), []);
  });
});
