/** Models that nobody wants for long: they fall asleep, and their engines end. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { SchedulerOnStage, type StageOptions } from "./testing/scheduler-on-stage.ts";

function stageWith(options: Partial<StageOptions> = {}): SchedulerOnStage {
  return new SchedulerOnStage({ models: { a: {}, b: {} }, idleSleepMs: 10_000, idleStopMs: 60_000, ...options });
}

describe("a model that nobody uses", () => {
  it("falls asleep after its time, and its engine is stopped after another one", () => {
    const stage = stageWith().bringUp("a", 1);
    assert.deepEqual(stage.pass(9_999).told(), []);
    assert.deepEqual(stage.pass(1).told(), ["sleep a 1"]);
    stage.pass(500).asleep("a");
    assert.deepEqual(stage.pass(59_999).told(), []);
    assert.deepEqual(stage.pass(1).stopped("a").told(), ["stop a"]);
    assert.deepEqual(stage.pass(3_600_000).told(), []);
    assert.equal(stage.alarmAtMs, null);
  });

  it("stays when it is used, and its time begins anew with the end of its last request", () => {
    const stage = stageWith().bringUp("a", 1).pass(5_000).request("a", 2).pass(20_000);
    assert.deepEqual(stage.told(), ["grant 2"]);
    stage.release(2).pass(9_999);
    assert.deepEqual(stage.told(), []);
    assert.deepEqual(stage.pass(1).told(), ["sleep a 1"]);
  });

  it("comes back when it is asked for, and goes down again from there", () => {
    const stage = stageWith().bringUp("a", 1).pass(10_000).asleep("a").pass(30_000).request("a", 2);
    assert.deepEqual(stage.told(), ["sleep a 1", "wake a 1"]);
    stage.awake("a").release(2).told();
    assert.deepEqual(stage.pass(10_000).told(), ["sleep a 1"]);
    stage.asleep("a");
    assert.deepEqual(stage.pass(60_000).told(), ["stop a"]);
  });

  it("goes down once engines can be started, where it began asleep", () => {
    const stage = stageWith({ models: { a: { beginsAsleepAt: 1 } } }).started();
    assert.deepEqual(stage.pass(60_000).told(), ["stop a"]);
  });

  it("stays awake when it is pinned", () => {
    const stage = stageWith({ models: { a: { pinned: true } } }).bringUp("a", 1);
    assert.deepEqual(stage.pass(3_600_000).told(), []);
  });

  it("takes only the step that is wanted", () => {
    const sleeps = stageWith({ idleStopMs: null }).bringUp("a", 1).pass(10_000).asleep("a");
    assert.deepEqual(sleeps.pass(3_600_000).told(), ["sleep a 1"]);
    const stops = stageWith({ idleSleepMs: null }).bringUp("a", 1);
    assert.deepEqual(stops.pass(3_600_000).told(), []);
    stops.operator("a", "sleep");
    assert.deepEqual(stops.asleep("a").pass(60_000).told(), ["sleep a 1", "stop a"]);
  });

  it("waits with its step until nothing is in the way", () => {
    const models = { a: { devices: ["0"] }, wide: { devices: ["0", "1"] }, r: { devices: ["1"] } };
    const stage = stageWith({ models, idleStopMs: 5_000 }).bringToSleep("a", 1).bringUp("wide", 2);
    stage.request("r", 3);
    assert.deepEqual(stage.pass(7_000).told(), ["sleep wide 1"], "device 0 is changing hands");
    stage.asleep("wide").awake("r").told();
    assert.deepEqual(stage.pass(1_000).told(), ["stop a"]);
  });

  it("is not stopped in its sleep while requests wait for it, and is once they have gone", () => {
    const stage = stageWith({ minActiveMs: 100_000 }).bringToSleep("a", 1).bringUp("b", 2);
    stage.request("b", 3).request("a", 4).told();
    assert.deepEqual(stage.pass(59_500).told(), []);
    stage.request("a", 5).pass(20_000);
    assert.deepEqual(stage.told(), ["refuse 4 queue_timeout"]);
    stage.abandon(5);
    assert.deepEqual(stage.pass(1_000).told(), ["stop a"]);
  });

  it("falls asleep though a drain was called off in the meantime", () => {
    const models = { l: { devices: ["0"] }, r: { devices: ["1"] }, wide: { devices: ["0", "1"] } };
    const stage = stageWith({ models }).bringUp("l", 1).bringUp("r", 2).pass(9_000).request("r", 3).request("wide", 4);
    assert.equal(stage.state("l"), "draining");
    stage.pass(5_000).abandon(4).told();
    assert.equal(stage.state("l"), "awake");
    assert.deepEqual(stage.pass(1_000).told(), ["sleep l 1"]);
  });

  it("is left alone while what runs on it stands still", () => {
    const models = { a: { canSuspend: true }, b: {} };
    const stage = stageWith({ models, drainBudgetMs: 0, idleStopMs: 5_000, minActiveMs: 30_000 }).bringUp("a", 1);
    stage.request("a", 2).pass(30_000).request("b", 3).pass(0).asleep("a").awake("b").told();
    assert.deepEqual(stage.pass(20_000).told(), []);
    stage.release(2, "abandoned");
    assert.deepEqual(stage.pass(1_000).told(), ["stop a"]);
  });

  it("is not moved any more once llmux ends", () => {
    const stage = stageWith().bringUp("a", 1).request("a", 2).shutdown(30_000);
    stage.told();
    assert.deepEqual(stage.pass(29_999).told(), []);
  });
});
