/** The end of everything, whatever is under way when it is asked for. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { SchedulerOnStage } from "./testing/scheduler-on-stage.ts";

const TWO = { models: { a: {}, b: {} } };

describe("a shutdown", () => {
  it("ends at once when nothing runs", () => {
    const stage = new SchedulerOnStage(TWO).shutdown();
    assert.deepEqual(stage.told(), ["finished"]);
    assert.equal(stage.alarmAtMs, null);
  });

  it("turns away those that wait and those that come", () => {
    const stage = new SchedulerOnStage(TWO).bringUp("a", 1).request("a", 2).request("b", 3).shutdown().request("a", 4);
    stage.request("b", 5);
    assert.deepEqual(stage.told(), [
      "grant 2",
      "refuse 3 shutting_down",
      "refuse 4 shutting_down",
      "refuse 5 shutting_down",
    ]);
  });

  it("lets running requests end, then stops their engine, then says that it has finished", () => {
    const stage = new SchedulerOnStage(TWO).bringUp("a", 1).request("a", 2).shutdown();
    assert.deepEqual(stage.told(), ["grant 2"]);
    assert.deepEqual(stage.release(2).told(), ["stop a"]);
    assert.deepEqual(stage.stopped("a").told(), ["finished"]);
    assert.equal(stage.alarmAtMs, null);
    assert.equal(stage.scheduler.snapshot().phase, "finished");
  });

  it("breaks running requests off after its limit", () => {
    const stage = new SchedulerOnStage(TWO).bringUp("a", 1).request("a", 2).shutdown(30_000);
    stage.told();
    assert.deepEqual(stage.pass(29_999).told(), []);
    assert.deepEqual(stage.pass(1).told(), ["revoke 2 shutting_down"]);
    assert.deepEqual(stage.release(2, "failed").told(), ["stop a"]);
  });

  it("waits for leases of engines that are gone", () => {
    const stage = new SchedulerOnStage(TWO).bringUp("a", 1).request("a", 2).crashed("a").shutdown().stopped("a");
    assert.equal(stage.scheduler.snapshot().phase, "shutting down");
    assert.equal(stage.release(2, "failed").told().at(-1), "finished");
  });

  it("stops a starting, a waking, a falling and a sleeping engine, all side by side", () => {
    const models = {
      starting: { devices: ["0"] },
      waking: { devices: ["1"] },
      falling: { devices: ["2"] },
      sleeping: { devices: ["3"] },
    };
    const stage = new SchedulerOnStage({ models });
    stage.bringToSleep("waking", 1).bringToSleep("sleeping", 2).bringUp("falling", 3);
    stage.operator("falling", "sleep");
    stage.request("starting", 4).request("waking", 5).told();
    stage.shutdown();
    assert.deepEqual(stage.told(), [
      "refuse 4 shutting_down",
      "refuse 5 shutting_down",
      "stop starting",
      "stop waking",
      "stop falling",
      "stop sleeping",
    ]);
    for (const model of ["starting", "waking", "falling"]) stage.stopped(model);
    assert.deepEqual(stage.told(), []);
    assert.deepEqual(stage.stopped("sleeping").told(), ["finished"]);
  });

  it("during a switch wakes nobody any more, and the journal tells that the switch is off", () => {
    const stage = new SchedulerOnStage(TWO).bringUp("a", 1).request("a", 2).request("b", 3).shutdown();
    stage.release(2).stopped("a");
    assert.deepEqual(stage.told(), ["grant 2", "refuse 3 shutting_down", "stop a", "finished"]);
    assert.deepEqual(
      stage.entries("switch cancelled").map(({ to, because }) => ({ to, because })),
      [{ to: "b", because: "llmux is shutting down" }],
    );
  });

  it("takes the place of the limit of a drain that is under way", () => {
    const stage = new SchedulerOnStage({ ...TWO, drainTimeoutMs: 1000 }).bringUp("a", 1).request("a", 2);
    stage.request("b", 3).shutdown(5000).told();
    assert.deepEqual(stage.pass(4999).told(), []);
    assert.deepEqual(stage.pass(1).told(), ["revoke 2 shutting_down"]);
  });

  it("does not ask twice for what a drain's limit has asked back", () => {
    const stage = new SchedulerOnStage({ ...TWO, drainTimeoutMs: 0 }).bringUp("a", 1).request("a", 2).request("b", 3);
    stage.pass(0).told();
    stage.shutdown(1000).pass(1000);
    assert.deepEqual(stage.told(), ["refuse 3 shutting_down"]);
  });

  it("lets a stop under way run its course", () => {
    const stage = new SchedulerOnStage(TWO).bringUp("a", 1);
    stage.operator("a", "stop");
    stage.told();
    stage.shutdown();
    assert.deepEqual(stage.told(), []);
    assert.deepEqual(stage.stopped("a").told(), ["finished"]);
  });

  it("tries a stop at once that waits for its next try", () => {
    const stage = new SchedulerOnStage(TWO).bringUp("a", 1);
    stage.operator("a", "stop");
    stage.stopFailed("a").told();
    stage.shutdown();
    assert.deepEqual(stage.told(), ["stop a"]);
    assert.deepEqual(stage.pass(5000).told(), [], "the try that was planned is not made as well");
    assert.deepEqual(stage.stopped("a").told(), ["finished"]);
    assert.equal(stage.alarmAtMs, null);
  });

  it("tries a stop three times before it ends without it", () => {
    const stage = new SchedulerOnStage(TWO).bringUp("a", 1).shutdown();
    assert.deepEqual(stage.told(), ["stop a"]);
    assert.deepEqual(stage.stopFailed("a").pass(2000).told(), ["stop a"]);
    assert.deepEqual(stage.stopFailed("a").pass(4000).told(), ["stop a"]);
    assert.deepEqual(stage.stopFailed("a").told(), ["finished"]);
    assert.equal(stage.entries("stop failed").at(-1)?.retryAtMs, null);
    assert.equal(stage.alarmAtMs, null);
  });

  it("cleans up an engine that dies meanwhile", () => {
    const stage = new SchedulerOnStage(TWO).bringUp("a", 1).request("a", 2).shutdown().crashed("a");
    assert.deepEqual(stage.told(), ["grant 2", "revoke 2 engine_crashed", "stop a"]);
    stage.stopped("a").release(2, "failed");
    assert.deepEqual(stage.told(), ["finished"]);
  });

  it("is not begun twice", () => {
    const stage = new SchedulerOnStage(TWO).bringUp("a", 1).shutdown().shutdown().stopped("a").shutdown();
    assert.deepEqual(stage.told(), ["stop a", "finished"]);
  });
});
