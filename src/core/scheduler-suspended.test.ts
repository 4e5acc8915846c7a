/** Requests that stand still in an engine that was put to sleep around them: they go on, or hear why they cannot. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { SchedulerOnStage } from "./testing/scheduler-on-stage.ts";

/** Requests 2 and 3 stand still in the engine of `a`, which is falling asleep; 4 waits for `b`. */
function suspendedWhileFallingAsleep(): SchedulerOnStage {
  const models = { a: { canSuspend: true }, b: {} };
  const stage = new SchedulerOnStage({ models, minActiveMs: 1000, drainBudgetMs: 5000 });
  stage.bringUp("a", 1).pass(1000).request("a", 2, 3).request("b", 4).told();
  assert.deepEqual(stage.pass(4999).told(), []);
  assert.deepEqual(stage.pass(1).told(), ["sleep a 1 kept"]);
  return stage;
}

/** The same, and `b` is awake, in use, and stays for another second. */
function suspended(): SchedulerOnStage {
  const stage = suspendedWhileFallingAsleep().asleep("a").awake("b");
  stage.told();
  return stage;
}

describe("requests that stand still", () => {
  it("go on when their engine is awake again, which it is after the other model's turn", () => {
    const stage = suspended();
    assert.equal(stage.model("a").suspended, 2);
    stage.release(4).pass(1000).asleep("b");
    assert.deepEqual(stage.told(), ["sleep b 1", "wake a 1"]);
    stage.awake("a");
    assert.equal(stage.model("a").suspended, 0);
    assert.equal(stage.model("a").inFlight, 2);
    assert.deepEqual(stage.release(2).release(3).told(), []);
  });

  it("are forgotten when their clients leave, and then nobody is woken", () => {
    const stage = suspended().release(2, "abandoned").release(3, "abandoned").release(4);
    assert.deepEqual(stage.pass(60_000).told(), []);
    assert.equal(stage.state("b"), "awake");
  });

  it("hear of it before the engine is stopped, when it does not fall asleep around them", () => {
    const stage = suspendedWhileFallingAsleep().sleepFailed("a");
    assert.deepEqual(stage.told(), ["revoke 2 sleep_failed", "revoke 3 sleep_failed", "stop a"]);
    stage.release(2, "failed").release(3, "failed").stopped("a");
    assert.deepEqual(stage.told(), ["start b"]);
    stage.awake("b").release(4);
    assert.equal(stage.state("a"), "stopped", "nobody waits for it");
  });

  it("hear of it before the engine is stopped, when an operator stops it", () => {
    const stage = suspended();
    assert.equal(stage.operator("a", "stop"), null);
    assert.deepEqual(stage.told(), ["revoke 2 stopped_by_operator", "revoke 3 stopped_by_operator", "stop a"]);
    stage.stopped("a").release(2, "failed").release(3, "failed").release(4);
    assert.deepEqual(stage.told(), []);
    assert.equal(stage.state("a"), "stopped");
  });

  it("hear of it before the engine is stopped, when an operator breaks its wake off", () => {
    const stage = suspended().release(4).pass(1000).asleep("b");
    stage.told();
    assert.equal(stage.operator("a", "stop"), null);
    assert.deepEqual(stage.told(), ["revoke 2 stopped_by_operator", "revoke 3 stopped_by_operator", "stop a"]);
    stage.release(2, "failed").stopped("a").release(3, "failed");
    assert.equal(stage.state("a"), "stopped");
  });

  for (const [when, scene] of [
    ["asleep", suspended],
    ["falling asleep", suspendedWhileFallingAsleep],
    ["waking", () => suspended().release(4).pass(1000).asleep("b")],
  ] as const) {
    it(`hear of it before the engine is stopped, when llmux ends while it is ${when}`, () => {
      const stage = scene();
      stage.told();
      assert.equal(stage.state("a"), when);
      stage.shutdown();
      const told = stage.told().filter((words) => words !== "refuse 4 shutting_down" && !words.endsWith(" b"));
      assert.deepEqual(told, ["revoke 2 shutting_down", "revoke 3 shutting_down", "stop a"]);
      stage.release(2, "failed").release(3, "failed").stopped("a");
    });
  }

  it("hear of it when the engine dies", () => {
    const stage = suspended().crashed("a");
    assert.deepEqual(stage.told(), ["revoke 2 engine_crashed", "revoke 3 engine_crashed", "stop a"]);
    stage.stopped("a").release(2, "failed").release(3, "failed").release(4);
    assert.equal(stage.state("a"), "stopped");
  });

  it("stand still only when their engine is put away, not while another model is drained beside it", () => {
    const models = {
      a: { devices: ["0"], canSuspend: true },
      b: { devices: ["1"] },
      wide: { devices: ["0", "1"] },
    };
    const stage = new SchedulerOnStage({ models, drainBudgetMs: 5000, requestTimeoutMs: 20_000 }).bringUp("a", 1);
    stage.bringUp("b", 2).pass(1000).request("a", 3).request("b", 4).request("wide", 5).told();
    assert.deepEqual(stage.pass(5000).told(), ["revoke 4 drain_timeout"], "whose client takes its time");
    assert.equal(stage.model("a").suspended, 0);
    stage.request("wide", 6).pass(14_999).request("wide", 7);
    assert.deepEqual(stage.pass(5001).told(), ["refuse 5 queue_timeout", "refuse 6 queue_timeout"]);
    stage.release(4, "failed");
    assert.deepEqual(stage.told(), ["sleep a 1 kept", "sleep b 1"]);
    assert.equal(stage.model("a").suspended, 1);
  });

  it("go on as if nothing had been when the switch is called off before their engine is put away", () => {
    const models = { a: { devices: ["0"], canSuspend: true }, b: { devices: ["1"] }, wide: { devices: ["0", "1"] } };
    const stage = new SchedulerOnStage({ models, drainBudgetMs: 5000 }).bringUp("a", 1).bringUp("b", 2).pass(1000);
    stage.request("a", 3).request("b", 4).request("wide", 5).pass(5000).request("a", 6).told();
    assert.deepEqual(stage.abandon(5).told(), ["grant 6"]);
    assert.deepEqual(stage.release([3, 6]).pass(60_000).told(), []);
    assert.equal(stage.state("a"), "awake");
  });

  it("end when they are not wanted back in time", () => {
    const stage = suspendedWhileFallingAsleep().asleep("a").awake("b");
    stage.pass(30_000).told();
    assert.deepEqual(stage.pass(30_000).told(), ["revoke 2 drain_timeout", "revoke 3 drain_timeout"]);
    stage.release([2, 3], "failed").release(4);
    assert.equal(stage.state("a"), "asleep");
  });
});
