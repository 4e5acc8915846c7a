/** How a model makes room: the drain, its limits, the minimum stay, the sleep. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { SchedulerOnStage } from "./testing/scheduler-on-stage.ts";
import type { SleepLevel } from "./sleep-level.ts";

const TWO = { models: { a: {}, b: {} } };

describe("a drain", () => {
  it("closes the gate when it begins, and not before", () => {
    const stage = new SchedulerOnStage({ ...TWO, minActiveMs: 5000 }).bringUp("a", 1).request("b", 2).pass(4999);
    stage.request("a", 3);
    assert.deepEqual(stage.told(), ["grant 3"], "a minimum stay is no closed gate");
    stage.pass(1).request("a", 4);
    assert.deepEqual(stage.told(), []);
    assert.equal(stage.state("a"), "draining");
    assert.equal(stage.model("a").waiting, 1);
  });

  it("ends when the last lease is handed in, and only then is the engine put to sleep", () => {
    const stage = new SchedulerOnStage(TWO).bringUp("a", 1).request("a", 2, 3, 4).request("b", 5);
    stage.told();
    stage.release(3).release(2, "abandoned");
    assert.deepEqual(stage.told(), []);
    stage.release(4, "failed");
    assert.deepEqual(stage.told(), ["sleep a 1"]);
    assert.equal(stage.pass(100).asleep("a").told().at(-1), "start b");
  });

  it("goes on for as long as it takes when it has no limit", () => {
    const stage = new SchedulerOnStage({ ...TWO, requestTimeoutMs: 1e9 }).bringUp("a", 1).request("a", 2);
    stage.request("b", 3).told();
    assert.deepEqual(stage.pass(1e8).told(), []);
    assert.equal(stage.state("a"), "draining");
  });

  it("asks for the leases back after its limit, once, and still waits until they are handed in", () => {
    const stage = new SchedulerOnStage({ ...TWO, drainTimeoutMs: 3000 }).bringUp("a", 1).request("a", 2, 3);
    stage.request("b", 4).told();
    assert.deepEqual(stage.pass(2999).told(), []);
    stage.release(2);
    assert.deepEqual(stage.pass(1).told(), ["revoke 3 drain_timeout"]);
    assert.match(stage.reasons.get(3)?.message ?? "", /model a had to make room.* 3 s/);
    assert.deepEqual(stage.pass(10_000).told(), []);
    assert.deepEqual(stage.release(3, "failed").told(), ["sleep a 1"]);
  });

  it("asks for the leases back at once when running requests are not waited for", () => {
    const stage = new SchedulerOnStage({ ...TWO, drainTimeoutMs: 0 }).bringUp("a", 1).request("a", 2);
    stage.request("b", 3).told();
    assert.deepEqual(stage.pass(0).told(), ["revoke 2 drain_timeout"]);
    assert.deepEqual(stage.release(2, "failed").told(), ["sleep a 1"]);
  });

  it("has a limit that counts no more once it is called off", () => {
    const stage = new SchedulerOnStage({ ...TWO, drainTimeoutMs: 3000 }).bringUp("a", 1).request("a", 2);
    stage.request("b", 3).abandon(3).told();
    assert.deepEqual(stage.pass(10_000).told(), []);
    assert.equal(stage.alarmAtMs, null);
  });

  it("has a limit that counts no more once it has ended", () => {
    const stage = new SchedulerOnStage({ ...TWO, drainTimeoutMs: 3000 }).bringUp("a", 1).request("a", 2);
    stage
      .request("b", 3)
      .pass(1000)
      .release(2)
      .asleep("a")
      .awake("b")
      .release(3)
      .request("a", 4)
      .asleep("b")
      .awake("a");
    stage.told();
    assert.equal(stage.alarmAtMs, null);
    assert.deepEqual(stage.pass(10_000).told(), [], "the request in a's next stay is left alone");
  });

  it("has a limit that counts no more once its engine has died", () => {
    const stage = new SchedulerOnStage({ ...TWO, drainTimeoutMs: 3000 }).bringUp("a", 1).request("a", 2);
    stage.request("b", 3).crashed("a").stopped("a").awake("b").release(2, "failed").told();
    assert.equal(stage.alarmAtMs, null);
  });

  it("has a limit that counts anew when it begins anew", () => {
    const stage = new SchedulerOnStage({ ...TWO, drainTimeoutMs: 3000 }).bringUp("a", 1).request("a", 2);
    stage.request("b", 3).pass(2000).abandon(3).request("b", 4).told();
    assert.deepEqual(stage.pass(2999).told(), []);
    assert.deepEqual(stage.pass(1).told(), ["revoke 2 drain_timeout"]);
  });

  it("asks for no lease back that it has asked for before", () => {
    const stage = new SchedulerOnStage({ ...TWO, drainTimeoutMs: 0 }).bringUp("a", 1).request("a", 2).request("b", 3);
    stage.pass(0).abandon(3).told();
    assert.equal(stage.state("a"), "awake", "the drain is called off, and the broken request still has its lease");
    stage.request("b", 4).pass(0);
    assert.deepEqual(stage.told(), []);
    assert.deepEqual(stage.release(2, "failed").told(), ["sleep a 1"]);
  });
});

describe("the minimum stay", () => {
  it("keeps a model awake for its time, though others wait", () => {
    const stage = new SchedulerOnStage({ ...TWO, minActiveMs: 5000 }).bringUp("a", 1).request("b", 2);
    assert.deepEqual(stage.pass(4999).told(), []);
    assert.deepEqual(stage.pass(1).told(), ["sleep a 1"]);
  });

  it("counts from when the model came awake, not from its last request", () => {
    const stage = new SchedulerOnStage({ ...TWO, minActiveMs: 5000 }).bringUp("a", 1).pass(6000).request("a", 2);
    stage.release(2).request("b", 3);
    assert.deepEqual(stage.told(), ["grant 2", "sleep a 1"]);
  });

  it("does not begin anew when a drain is called off", () => {
    const stage = new SchedulerOnStage({ ...TWO, minActiveMs: 5000 }).bringUp("a", 1).pass(5000).request("a", 2);
    stage.request("b", 3).abandon(3).request("b", 4);
    assert.equal(stage.state("a"), "draining");
  });

  it("has an alarm for its end only as long as somebody waits for that", () => {
    const stage = new SchedulerOnStage({ ...TWO, minActiveMs: 5000 }).bringUp("a", 1).request("b", 2);
    assert.equal(stage.alarmAtMs, 5000);
    stage.abandon(2);
    assert.equal(stage.alarmAtMs, null);
  });

  it("needs no waiting when nobody is awake", () => {
    const stage = new SchedulerOnStage({ ...TWO, minActiveMs: 5000 }).bringToSleep("a", 1).request("b", 2);
    assert.deepEqual(stage.told(), ["start b"]);
  });
});

describe("a model that makes room", () => {
  for (const [sleepLevel, told] of [
    [1, "sleep a 1"],
    [2, "sleep a 2"],
    [3, "stop a"],
  ] as const satisfies readonly (readonly [SleepLevel, string])[]) {
    it(`is put away with "${told}" when its level is ${sleepLevel}`, () => {
      const stage = new SchedulerOnStage({ models: { a: { sleepLevel }, b: {} } }).bringUp("a", 1).request("b", 2);
      assert.deepEqual(stage.told(), [told]);
      if (sleepLevel === 3) stage.stopped("a");
      else stage.asleep("a");
      assert.deepEqual(stage.told(), ["start b"]);
    });
  }

  it("is woken from the level it was put to, and started again when it was stopped", () => {
    const models = { one: { sleepLevel: 1 }, two: { sleepLevel: 2 }, three: { sleepLevel: 3 } } as const;
    const stage = new SchedulerOnStage({ models }).bringUp("one", 1).request("two", 2).asleep("one").awake("two");
    stage.release(2).request("three", 3).asleep("two").awake("three").release(3).told();
    stage.request("one", 4).stopped("three").awake("one").release(4).request("two", 5).asleep("one").awake("two");
    stage.release(5).request("three", 6).asleep("two");
    assert.deepEqual(
      stage.told().filter((words) => words.startsWith("wake") || words.startsWith("start")),
      ["wake one 1", "wake two 2", "start three"],
    );
  });

  it("lets those that came while it drained wait for its next turn", () => {
    const stage = new SchedulerOnStage(TWO).bringUp("a", 1).request("a", 2).request("b", 3).request("a", 4);
    stage.release(2).asleep("a").awake("b").release(3).asleep("b").told();
    assert.deepEqual(stage.awake("a").told(), ["grant 4"]);
  });
});

describe("the journal of a switch", () => {
  it("tells its drain and its length apart, and keeps an average of what it cost", () => {
    const stage = new SchedulerOnStage(TWO).bringUp("a", 1).request("a", 2).request("b", 3);
    stage.pass(1000).release(2).pass(200).asleep("a").pass(300).awake("b");
    assert.deepEqual(stage.entries("drain ended").at(-1), {
      kind: "drain ended",
      from: ["a"],
      to: "b",
      drainMs: 1000,
      atMs: 1000,
    });
    const { durationMs, costAverageMs } = stage.entries("switch ended").at(-1) ?? {};
    assert.deepEqual({ durationMs, costAverageMs }, { durationMs: 1500, costAverageMs: 500 });
  });
});
