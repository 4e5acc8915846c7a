/** What an operator's commands do in each state. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { SchedulerOnStage } from "./testing/scheduler-on-stage.ts";

const TWO = { models: { a: {}, b: {} } };

describe("an operator", () => {
  it("puts an awake model to sleep, and its next request wakes it", () => {
    const stage = new SchedulerOnStage(TWO).bringUp("a", 1);
    assert.equal(stage.operator("a", "sleep"), null);
    stage.asleep("a").request("a", 2);
    assert.deepEqual(stage.told(), ["sleep a 1", "wake a 1"]);
  });

  it("stops an awake model, whatever its sleep level", () => {
    const stage = new SchedulerOnStage(TWO).bringUp("a", 1);
    stage.operator("a", "stop");
    assert.deepEqual(stage.told(), ["stop a"]);
  });

  it("stops by a sleep a model whose level is 3", () => {
    const stage = new SchedulerOnStage({ models: { a: { sleepLevel: 3 } } }).bringUp("a", 1);
    stage.operator("a", "sleep");
    assert.deepEqual(stage.told(), ["stop a"]);
  });

  it("waits for running requests, while new ones wait for the next wake", () => {
    const stage = new SchedulerOnStage(TWO).bringUp("a", 1).request("a", 2);
    stage.operator("a", "sleep");
    stage.request("a", 3);
    assert.deepEqual(stage.told(), ["grant 2"]);
    stage.release(2);
    assert.deepEqual(stage.told(), ["sleep a 1"]);
    assert.deepEqual(stage.asleep("a").told(), ["wake a 1"]);
  });

  it("waits for running requests no longer than the drain timeout", () => {
    const stage = new SchedulerOnStage({ ...TWO, drainTimeoutMs: 3000 }).bringUp("a", 1).request("a", 2);
    stage.operator("a", "stop");
    stage.pass(3000);
    assert.deepEqual(stage.told(), ["grant 2", "revoke 2 drain_timeout"]);
  });

  it("is told why a draining model is left alone", () => {
    const stage = new SchedulerOnStage(TWO).bringUp("a", 1).request("a", 2).request("b", 3);
    assert.match(stage.operator("a", "stop")?.message ?? "", /model a is draining/);
    assert.equal(stage.state("a"), "draining");
  });

  it("is told why a model is left alone that falls asleep", () => {
    const stage = new SchedulerOnStage(TWO).bringUp("a", 1);
    stage.operator("a", "sleep");
    assert.match(stage.operator("a", "stop")?.message ?? "", /model a is falling asleep/);
  });

  it("stops a sleeper, and a second sleep is no news to it", () => {
    const stage = new SchedulerOnStage(TWO).bringToSleep("a", 1);
    assert.equal(stage.operator("a", "sleep"), null);
    assert.deepEqual(stage.told(), []);
    assert.equal(stage.operator("a", "stop"), null);
    assert.deepEqual(stage.told(), ["stop a"]);
  });

  it("cannot stop a sleeper while a switch has its device, and is told which", () => {
    const stage = new SchedulerOnStage(TWO).bringToSleep("a", 1).request("b", 2);
    assert.match(stage.operator("a", "stop")?.message ?? "", /device 0 is switching to b/);
    assert.deepEqual(stage.told(), ["start b"]);
  });

  it("cannot stop a sleeper while a model beside it drains for an operator", () => {
    const stage = new SchedulerOnStage(TWO).bringToSleep("a", 1).bringUp("b", 2).request("b", 3);
    stage.operator("b", "sleep");
    assert.match(stage.operator("a", "stop")?.message ?? "", /model b is draining/);
  });

  it("cannot put away an awake model while a dead neighbour is cleaned up", () => {
    const stage = new SchedulerOnStage(TWO).bringToSleep("a", 1).bringUp("b", 2).crashed("a");
    assert.match(stage.operator("b", "sleep")?.message ?? "", /the engine of a is changing/);
    assert.equal(stage.state("b"), "awake");
  });

  for (const command of ["sleep", "stop"] as const) {
    it(`breaks off a start by "${command}": those that wait are turned away, and no backoff follows`, () => {
      const stage = new SchedulerOnStage(TWO).request("a", 1);
      assert.equal(stage.operator("a", command), null);
      assert.deepEqual(stage.told(), ["start a", "stop a", "refuse 1 stopped_by_operator"]);
      stage.request("a", 2).stopped("a");
      assert.deepEqual(stage.told(), ["start a"]);
      assert.equal(stage.model("a").failuresInRow, 0);
      assert.equal(stage.model("a").lastFailure?.code, "stopped_by_operator");
    });
  }

  it("breaks off a wake, and the devices that its switch had held are free for others at once", () => {
    const models = { wide: { devices: ["0", "1"] }, left: { devices: ["0"] }, right: { devices: ["1"] } };
    const stage = new SchedulerOnStage({ models }).bringUp("wide", 1).request("left", 2).request("right", 3);
    stage.asleep("wide");
    assert.deepEqual(stage.told(), ["sleep wide 1", "start left"]);
    stage.operator("left", "stop");
    assert.deepEqual(stage.told(), ["stop left", "refuse 2 stopped_by_operator", "start right"]);
  });

  it("changes nothing about a model that is off or going off", () => {
    const stage = new SchedulerOnStage(TWO);
    assert.equal(stage.operator("a", "stop"), null);
    stage.bringUp("b", 1).crashed("b").told();
    assert.equal(stage.operator("b", "stop"), null);
    assert.deepEqual(stage.told(), []);
  });

  it("is told during a shutdown that it is under way", () => {
    const stage = new SchedulerOnStage(TWO).bringUp("a", 1).shutdown();
    assert.equal(stage.operator("a", "sleep")?.code, "shutting_down");
  });
});
