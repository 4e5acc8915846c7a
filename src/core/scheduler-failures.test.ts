/** Sleeps, stops and wakes that fail, engines that die, and how the others go on. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { SchedulerOnStage } from "./testing/scheduler-on-stage.ts";

const THREE = { models: { a: {}, b: {}, c: {} } };

describe("a sleep that fails", () => {
  it("becomes a stop, and the next model comes up once that has ended", () => {
    const stage = new SchedulerOnStage(THREE).bringUp("a", 1).request("b", 2).sleepFailed("a");
    assert.deepEqual(stage.told(), ["sleep a 1", "stop a"]);
    stage.stopped("a");
    assert.deepEqual(stage.told(), ["start b"]);
    assert.equal(stage.state("a"), "stopped", "a healthy model may be started again at once");
    assert.equal(stage.entries("sleep failed").length, 1);
  });
});

describe("a stop that fails", () => {
  it("keeps the device closed and is tried again after 2 s, 4 s, 8 s", () => {
    const stage = new SchedulerOnStage(THREE).bringUp("a", 1).request("b", 2).sleepFailed("a").stopFailed("a");
    stage.told();
    for (const delayMs of [2000, 4000, 8000]) {
      assert.deepEqual(stage.pass(delayMs - 1).told(), []);
      assert.deepEqual(stage.pass(1).told(), ["stop a"]);
      assert.equal(stage.state("a"), "stopping");
      stage.stopFailed("a");
    }
    stage.pass(16_000).stopped("a");
    assert.deepEqual(stage.told(), ["stop a", "start b"]);
    assert.equal(stage.entries("stop failed").length, 4);
    assert.equal(stage.model("a").lastFailure?.code, "stop_failed");
  });

  it("is counted anew the next time", () => {
    const stage = new SchedulerOnStage({ models: { a: { sleepLevel: 3 } } }).bringUp("a", 1);
    for (const waiter of [2, 3]) {
      stage.operator("a", "stop");
      stage.stopFailed("a").told();
      assert.deepEqual(stage.pass(2000).told(), ["stop a"]);
      stage.stopped("a").bringUp("a", waiter);
    }
  });

  it("is left to run its course when requests for the model come: they wait", () => {
    const stage = new SchedulerOnStage(THREE).bringUp("a", 1);
    stage.operator("a", "stop");
    stage.stopFailed("a").told();
    assert.deepEqual(stage.request("a", 2).told(), []);
    stage.pass(2000).stopped("a");
    assert.deepEqual(stage.told(), ["stop a", "start a"]);
  });
});

describe("a wake that fails", () => {
  it("stops the engine and turns those that wait away with the reason and the time of the next try", () => {
    const stage = new SchedulerOnStage(THREE).bringToSleep("a", 1).request("a", 2, 3).wakeFailed("a");
    assert.deepEqual(stage.told(), ["wake a 1", "stop a", "refuse 2 wake_failed", "refuse 3 wake_failed"]);
    assert.equal(stage.reasons.get(2)?.message, "out of memory");
    assert.equal(stage.reasons.get(2)?.retryAfterMs, 2000);
    stage.stopped("a");
    assert.equal(stage.state("a"), "failed");
    assert.equal(stage.entries("switch failed").length, 1);
  });

  it("backs off 2 s, doubling up to five minutes, and refuses at once meanwhile", () => {
    const stage = new SchedulerOnStage(THREE);
    let waiter = 0;
    for (const delayMs of [2, 4, 8, 16, 32, 64, 128, 256, 300, 300].map((seconds) => 1000 * seconds)) {
      stage.request("a", (waiter += 1));
      assert.deepEqual(stage.told(), ["start a"]);
      stage.wakeFailed("a").stopped("a").told();
      stage.pass(delayMs - 1).request("a", (waiter += 1));
      assert.deepEqual(stage.told(), [`refuse ${waiter} wake_failed`]);
      assert.equal(stage.reasons.get(waiter)?.retryAfterMs, 1);
      stage.pass(1);
    }
    assert.equal(stage.model("a").failuresInRow, 10);
  });

  it("backs off no longer than is said of its model", () => {
    const stage = new SchedulerOnStage({ models: { a: { retryMaxMs: 10_000 } } });
    for (let waiter = 1; waiter <= 8; waiter += 1) stage.request("a", waiter).wakeFailed("a").stopped("a").pass(10_000);
    stage.told();
    stage.request("a", 9);
    assert.deepEqual(stage.told(), ["start a"]);
  });

  it("is forgotten once a request was served, and not by a mere wake", () => {
    const stage = new SchedulerOnStage(THREE).request("a", 1).wakeFailed("a").stopped("a").pass(2000);
    stage.request("a", 2).awake("a").release(2, "failed");
    assert.equal(stage.model("a").failuresInRow, 1);
    stage.request("a", 3).release(3);
    assert.equal(stage.model("a").failuresInRow, 0);
  });

  it("leaves the healthy model that had to leave free to come back", () => {
    const stage = new SchedulerOnStage(THREE).bringUp("a", 1).request("b", 2).asleep("a").request("a", 3);
    stage.wakeFailed("b").told();
    stage.stopped("b");
    assert.deepEqual(stage.told(), ["wake a 1"]);
    stage.awake("a");
    assert.deepEqual(stage.told(), ["grant 3"]);
  });

  it("does not make a healthy model leave again while its backoff lasts", () => {
    const stage = new SchedulerOnStage(THREE).bringUp("a", 1).request("b", 2).asleep("a").wakeFailed("b").stopped("b");
    stage.request("a", 3).awake("a").told();
    stage.pass(1999).request("b", 4);
    assert.deepEqual(stage.told(), ["refuse 4 wake_failed"]);
    assert.equal(stage.state("a"), "awake");
  });

  it("of one model does not keep another one from its turn", () => {
    const stage = new SchedulerOnStage(THREE).request("a", 1).request("b", 2).wakeFailed("a").stopped("a");
    assert.deepEqual(stage.told(), ["start a", "stop a", "refuse 1 wake_failed", "start b"]);
  });
});

describe("a crash", () => {
  it("of a serving engine breaks its requests, cleans up, and the next request starts it anew", () => {
    const stage = new SchedulerOnStage(THREE).bringUp("a", 1).request("a", 2, 3).crashed("a");
    assert.deepEqual(stage.told(), [
      "grant 2",
      "grant 3",
      "revoke 2 engine_crashed",
      "revoke 3 engine_crashed",
      "stop a",
    ]);
    assert.equal(stage.model("a").inFlight, 0);
    stage.request("a", 4);
    assert.deepEqual(stage.told(), [], "what is left of the old engine must be gone first");
    assert.deepEqual(stage.stopped("a").told(), ["start a"]);
    stage.release([2, 3], "failed");
    assert.deepEqual(stage.awake("a").told(), ["grant 4"]);
    assert.equal(stage.model("a").inFlight, 1);
  });

  it("lets leases of the old engine be handed in after the new one is awake", () => {
    const stage = new SchedulerOnStage(THREE).bringUp("a", 1).request("a", 2).crashed("a").request("a", 3).stopped("a");
    stage.awake("a").request("b", 4).told();
    stage.release(2, "failed");
    assert.deepEqual(stage.told(), []);
    assert.deepEqual(stage.release(3).told(), ["sleep a 1"]);
  });

  it("while starting keeps those that wait for the first restart, which is at once", () => {
    const stage = new SchedulerOnStage(THREE).request("a", 1).crashed("a");
    assert.deepEqual(stage.told(), ["start a", "stop a"]);
    assert.deepEqual(stage.stopped("a").told(), ["start a"]);
    assert.deepEqual(stage.awake("a").told(), ["grant 1"]);
  });

  it("that comes again turns them away, and backs off 2 s, then 4 s", () => {
    const stage = new SchedulerOnStage(THREE).request("a", 1).crashed("a").stopped("a");
    stage.told();
    stage.crashed("a");
    assert.deepEqual(stage.told(), ["stop a", "refuse 1 engine_crashed"]);
    stage.stopped("a").pass(1999).request("a", 2);
    assert.deepEqual(stage.told(), ["refuse 2 engine_crashed"]);
    stage.pass(1).request("a", 3).crashed("a").stopped("a");
    assert.deepEqual(stage.told(), ["start a", "stop a", "refuse 3 engine_crashed"]);
    assert.equal(stage.reasons.get(3)?.retryAfterMs, 4000);
  });

  it("while draining lets the switch go on as soon as the engine is gone", () => {
    const stage = new SchedulerOnStage(THREE).bringUp("a", 1).request("a", 2).request("b", 3).crashed("a");
    assert.deepEqual(stage.told(), ["grant 2", "revoke 2 engine_crashed", "stop a"]);
    assert.deepEqual(stage.stopped("a").told(), ["start b"]);
    stage.release(2, "failed").awake("b");
    assert.deepEqual(stage.told(), ["grant 3"]);
  });

  it("while falling asleep lets the switch go on, and is no mark against the model", () => {
    const stage = new SchedulerOnStage(THREE).bringUp("a", 1).request("b", 2).crashed("a").stopped("a");
    assert.deepEqual(stage.told(), ["sleep a 1", "stop a", "start b"]);
    assert.equal(stage.model("a").failuresInRow, 0);
    assert.equal(stage.state("a"), "stopped");
  });

  it("while asleep is cleaned up, and the next request starts it", () => {
    const stage = new SchedulerOnStage(THREE).bringToSleep("a", 1).crashed("a").request("a", 2).stopped("a");
    assert.deepEqual(stage.told(), ["stop a", "start a"]);
  });

  it("of the target asleep while its switch still drains delays the start until it is cleaned up", () => {
    const stage = new SchedulerOnStage(THREE).bringToSleep("b", 1).bringUp("a", 2).request("a", 3).request("b", 4);
    stage.crashed("b").release(3).asleep("a");
    assert.deepEqual(stage.told(), ["grant 3", "stop b", "sleep a 1"]);
    assert.deepEqual(stage.stopped("b").told(), ["start b"]);
    assert.deepEqual(stage.awake("b").told(), ["grant 4"]);
  });

  it("of the target asleep and cleaned up during the drain has it started instead of woken", () => {
    const stage = new SchedulerOnStage(THREE).bringToSleep("b", 1).bringUp("a", 2).request("a", 3).request("b", 4);
    stage.crashed("b").stopped("b").release(3).asleep("a");
    assert.deepEqual(stage.told(), ["grant 3", "stop b", "sleep a 1", "start b"]);
  });

  it("of a sleeper beside a switch delays the wake until what is left of it is gone", () => {
    const stage = new SchedulerOnStage(THREE).bringToSleep("c", 1).bringUp("a", 2).request("b", 3).crashed("c");
    stage.asleep("a");
    assert.deepEqual(stage.told(), ["sleep a 1", "stop c"], "b must not start while memory of c comes free");
    assert.deepEqual(stage.stopped("c").told(), ["start b"]);
  });

  it("of a sleeper beside a switch whose last waiter leaves meanwhile ends that switch without a wake", () => {
    const stage = new SchedulerOnStage(THREE).bringToSleep("c", 1).bringUp("a", 2).request("b", 3).crashed("c");
    stage.asleep("a").abandon(3).stopped("c");
    assert.deepEqual(stage.told(), ["sleep a 1", "stop c"]);
    assert.equal(stage.scheduler.snapshot().switches.length, 0);
  });

  it("while waking keeps those that wait, and the engine is started from nothing", () => {
    const stage = new SchedulerOnStage(THREE).bringToSleep("a", 1).request("a", 2).crashed("a").stopped("a");
    assert.deepEqual(stage.told(), ["wake a 1", "stop a", "start a"]);
  });

  it("of one that is off, or on its way out, is a bug of the caller", () => {
    const stage = new SchedulerOnStage(THREE);
    assert.throws(() => stage.crashed("a"), /a crashed while stopped/);
    stage.bringUp("b", 1).crashed("b");
    assert.throws(() => stage.crashed("b"), /b crashed while stopping/);
  });
});
