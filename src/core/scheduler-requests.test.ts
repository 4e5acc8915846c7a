/** Who is let in, who waits, for how long, and what a leaver does to a switch. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { SchedulerOnStage } from "./testing/scheduler-on-stage.ts";

const ONE_DEVICE = { models: { a: {}, b: {}, c: {} } };

describe("a request", () => {
  it("goes straight through when its model is awake, and leaves no alarm behind", () => {
    const stage = new SchedulerOnStage(ONE_DEVICE).bringUp("a", 1);
    stage.request("a", 2);
    assert.deepEqual(stage.told(), ["grant 2"]);
    assert.equal(stage.model("a").inFlight, 1);
    assert.equal(stage.alarmAtMs, null);
  });

  it("starts its model's engine when it is the first, and waits", () => {
    const stage = new SchedulerOnStage(ONE_DEVICE).request("a", 1);
    assert.deepEqual(stage.told(), ["start a"]);
    assert.equal(stage.state("a"), "starting");
    assert.equal(stage.model("a").waiting, 1);
  });

  it("wakes its model's engine when that begins asleep", () => {
    const stage = new SchedulerOnStage({ models: { a: { beginsAsleepAt: 1 }, b: { beginsAsleepAt: 2 } } });
    assert.deepEqual([stage.state("a"), stage.state("b")], ["asleep", "asleep"]);
    assert.deepEqual(stage.request("a", 1).told(), ["wake a 1"]);
    assert.deepEqual(stage.awake("a").told(), ["grant 1"]);
    assert.deepEqual(stage.release(1).request("b", 2).told(), ["sleep a 1"]);
    assert.deepEqual(stage.asleep("a").told(), ["wake b 2"]);
  });

  it("is one of a hundred cold ones that cause one start and are all let in when it ends, in their order", () => {
    const ids = Array.from({ length: 100 }, (_, index) => index + 1);
    const stage = new SchedulerOnStage(ONE_DEVICE).request("a", ...ids);
    assert.deepEqual(stage.told(), ["start a"]);
    stage.awake("a");
    assert.deepEqual(
      stage.told(),
      ids.map((id) => `grant ${id}`),
    );
    assert.equal(stage.model("a").inFlight, 100);
  });

  it("holds its lease before the next switch is considered", () => {
    const stage = new SchedulerOnStage(ONE_DEVICE).request("a", 1).request("b", 2);
    stage.told();
    stage.awake("a");
    assert.deepEqual(stage.told(), ["grant 1"], "b's switch drains a, and a's request runs");
    assert.equal(stage.state("a"), "draining");
    stage.release(1);
    assert.deepEqual(stage.told(), ["sleep a 1"]);
    assert.equal(stage.asleep("a").told().at(-1), "start b");
  });

  it("is served in every turn when two busy models share a device", () => {
    const stage = new SchedulerOnStage(ONE_DEVICE).bringToSleep("a", 1).bringToSleep("b", 2);
    stage.request("a", 10).request("b", 20).told();
    for (let turn = 0; turn < 5; turn += 1) {
      stage.awake("a");
      assert.deepEqual(stage.told(), [`grant ${10 + turn}`]);
      stage.request("a", 11 + turn).release(10 + turn);
      stage.asleep("a").told();
      stage.awake("b");
      assert.deepEqual(stage.told(), [`grant ${20 + turn}`]);
      stage.request("b", 21 + turn).release(20 + turn);
      stage.asleep("b").told();
    }
  });

  it("is one of A B C A B C for three cold models that take three switches in all", () => {
    const stage = new SchedulerOnStage(ONE_DEVICE);
    stage.request("a", 1).request("b", 2).request("c", 3).request("a", 4).request("b", 5).request("c", 6);
    stage.awake("a").release([1, 4]).asleep("a");
    stage.awake("b").release([2, 5]).asleep("b");
    stage.awake("c").release([3, 6]);
    assert.equal(stage.entries("switch started").length, 3);
    assert.equal(stage.entries("switch ended").length, 3);
    assert.equal(stage.entries("request granted").length, 6);
    assert.equal(stage.state("c"), "awake");
  });

  it("is told how long it waited", () => {
    const stage = new SchedulerOnStage(ONE_DEVICE).request("a", 1).pass(1234).awake("a");
    assert.deepEqual(
      stage.entries("request granted").map(({ waitedMs }) => waitedMs),
      [1234],
    );
  });
});

describe("a model that lets in two requests at once", () => {
  const TWO_AT_ONCE = { models: { a: { inFlightMax: 2 }, b: {} } };

  it("lets in two of those that waited for it, and one more for each that ends, oldest first", () => {
    const stage = new SchedulerOnStage(TWO_AT_ONCE).request("a", 1).request("a", 2).request("a", 3).request("a", 4);
    stage.told();
    assert.deepEqual(stage.awake("a").told(), ["grant 1", "grant 2"]);
    assert.equal(stage.model("a").waiting, 2);
    assert.deepEqual(stage.release(2).told(), ["grant 3"]);
    assert.deepEqual(stage.release(1).told(), ["grant 4"]);
    assert.deepEqual(stage.request("a", 5).told(), []);
    assert.equal(stage.model("a").inFlight, 2);
  });

  it("keeps those that still wait when it must leave, and lets them in after its return", () => {
    const stage = new SchedulerOnStage(TWO_AT_ONCE).request("a", 1).request("a", 2).awake("a").request("b", 4);
    stage.request("a", 5).told();
    assert.equal(stage.state("a"), "draining");
    assert.deepEqual(stage.release([1, 2]).told(), ["sleep a 1"]);
    assert.deepEqual(stage.asleep("a").told(), ["start b"]);
    stage.awake("b").release(4).asleep("b").told();
    assert.deepEqual(stage.awake("a").told(), ["grant 5"]);
  });

  it("is not said to be asleep to one that waited too long for its turn", () => {
    const stage = new SchedulerOnStage({ ...TWO_AT_ONCE, requestTimeoutMs: 5000 });
    stage.request("a", 1).request("a", 2).awake("a").request("a", 3).pass(5000);
    assert.match(
      stage.reasons.get(3)?.message ?? "",
      /model a is awake, but for 5 s as many requests as it runs at once \(2\) were in front/,
    );
  });
});

describe("a request that has waited for the timeout", () => {
  it("is refused with the reason and leaves the queue", () => {
    const stage = new SchedulerOnStage({ ...ONE_DEVICE, requestTimeoutMs: 5000 }).request("a", 1);
    stage.told();
    stage.pass(4999);
    assert.deepEqual(stage.told(), []);
    stage.pass(1);
    assert.deepEqual(stage.told(), ["refuse 1 queue_timeout"]);
    assert.match(
      stage.reasons.get(1)?.message ?? "",
      /model a was not awake within 5 s: its engine is starting, and that goes on: ask again/,
    );
    assert.equal(stage.model("a").waiting, 0);
  });

  it("does not end the start under way, which serves the next one", () => {
    const stage = new SchedulerOnStage({ ...ONE_DEVICE, requestTimeoutMs: 5000 }).request("a", 1).pass(5000);
    stage.told();
    stage.pass(10_000).awake("a").request("a", 2);
    assert.deepEqual(stage.told(), ["grant 2"]);
  });

  it("calls off the switch that only it wanted while that still drains, and the gate opens again", () => {
    const stage = new SchedulerOnStage({ ...ONE_DEVICE, requestTimeoutMs: 5000 }).bringUp("a", 1);
    stage.request("a", 2).request("b", 3).request("a", 4);
    assert.deepEqual(stage.told(), ["grant 2"]);
    assert.equal(stage.state("a"), "draining");
    stage.pass(5000);
    assert.deepEqual(stage.told(), ["refuse 3 queue_timeout", "grant 4"]);
    assert.equal(stage.state("a"), "awake");
    stage.release([2, 4]).pass(60_000);
    assert.deepEqual(stage.told(), []);
    assert.equal(stage.entries("switch cancelled").length, 1);
  });

  it("has no wake when the last victim falls asleep after it has gone", () => {
    const stage = new SchedulerOnStage({ ...ONE_DEVICE, requestTimeoutMs: 5000 }).bringUp("a", 1).request("b", 2);
    assert.deepEqual(stage.told(), ["sleep a 1"]);
    stage.pass(5000).asleep("a");
    assert.deepEqual(stage.told(), ["refuse 2 queue_timeout"]);
    assert.equal(stage.state("b"), "stopped");
    assert.equal(stage.scheduler.snapshot().switches.length, 0);
  });

  it("begins no switch for another one whose time is up in the same instant", () => {
    const stage = new SchedulerOnStage({ ...ONE_DEVICE, requestTimeoutMs: 5000 }).bringUp("a", 1).request("a", 2);
    stage.request("b", 3).request("c", 4).pass(5000);
    assert.deepEqual(stage.told().toSorted(), ["grant 2", "refuse 3 queue_timeout", "refuse 4 queue_timeout"]);
    assert.deepEqual(
      stage.entries("switch started").map(({ to }) => to),
      ["a", "b"],
    );
  });

  it("does not have the others of its model wait any shorter", () => {
    const stage = new SchedulerOnStage({ ...ONE_DEVICE, requestTimeoutMs: 5000 }).request("a", 1).pass(3000);
    stage.request("a", 2).pass(2000);
    stage.awake("a");
    assert.deepEqual(stage.told(), ["start a", "refuse 1 queue_timeout", "grant 2"]);
  });
});

describe("a client that goes away", () => {
  it("leaves the queue at once, and the start goes on for those that still wait", () => {
    const stage = new SchedulerOnStage(ONE_DEVICE).request("a", 1, 2).abandon(1);
    assert.equal(stage.model("a").waiting, 1);
    stage.awake("a");
    assert.deepEqual(stage.told(), ["start a", "grant 2"]);
  });

  it("does not end the start that only it waited for: it will be wanted", () => {
    const stage = new SchedulerOnStage(ONE_DEVICE).request("a", 1).abandon(1);
    assert.deepEqual(stage.told(), ["start a"]);
    assert.equal(stage.alarmAtMs, null, "its time limit has gone with it");
    stage.awake("a");
    assert.equal(stage.state("a"), "awake");
    assert.deepEqual(stage.told(), []);
    assert.equal(stage.alarmAtMs, null);
  });

  it("calls off the switch that only it wanted while that still drains", () => {
    const stage = new SchedulerOnStage(ONE_DEVICE).bringUp("a", 1).request("a", 2).request("b", 3).request("a", 4);
    stage.told();
    stage.abandon(3);
    assert.deepEqual(stage.told(), ["grant 4"]);
    assert.equal(stage.state("a"), "awake");
  });

  it("leaves a draining switch alone when others wait for its target", () => {
    const stage = new SchedulerOnStage(ONE_DEVICE).bringUp("a", 1).request("a", 2).request("b", 3, 4).abandon(3);
    assert.equal(stage.state("a"), "draining");
    assert.equal(stage.entries("switch cancelled").length, 0);
    stage.release(2).asleep("a").awake("b");
    assert.deepEqual(stage.told(), ["grant 2", "sleep a 1", "start b", "grant 4"]);
  });

  it("does no harm when it is told after the grant", () => {
    const stage = new SchedulerOnStage(ONE_DEVICE).bringUp("a", 1).request("a", 2).abandon(2);
    assert.equal(stage.model("a").inFlight, 1);
    stage.release(2, "abandoned");
    assert.equal(stage.model("a").inFlight, 0);
  });

  it("lets a younger request pass that it alone had kept back", () => {
    const models = { wide: { devices: ["0", "1"] }, busy: { devices: ["1"] }, small: { devices: ["0"] } };
    const stage = new SchedulerOnStage({ models }).bringUp("busy", 1).request("busy", 2);
    stage.operator("busy", "sleep");
    stage.request("wide", 3).pass(1).request("small", 4).pass(1).request("wide", 5);
    assert.deepEqual(stage.told(), ["grant 2"], "wide came first, and waits for device 1");
    stage.abandon(3);
    assert.deepEqual(stage.told(), ["start small"], "now small came first, and needs device 0 alone");
  });
});

describe("a lease", () => {
  it("cannot be released twice", () => {
    const stage = new SchedulerOnStage(ONE_DEVICE).bringUp("a", 1);
    assert.throws(() => stage.scheduler.onReleased(1, "served", 0), /released twice/);
  });

  it("cannot be asked for twice under one number", () => {
    const stage = new SchedulerOnStage(ONE_DEVICE).request("a", 1);
    assert.throws(() => stage.request("a", 1), /waits already/);
  });
});

describe("time", () => {
  it("cannot go back", () => {
    const stage = new SchedulerOnStage(ONE_DEVICE).pass(10).request("a", 1);
    assert.throws(() => stage.scheduler.onAlarm(9), /time went back/);
  });

  it("may bring an alarm that nobody asked for", () => {
    const stage = new SchedulerOnStage({ ...ONE_DEVICE, requestTimeoutMs: 5000 }).request("a", 1);
    stage.told();
    stage.scheduler.onAlarm(stage.nowMs);
    assert.deepEqual(stage.told(), []);
    assert.deepEqual(stage.pass(5000).told(), ["refuse 1 queue_timeout"]);
  });
});
