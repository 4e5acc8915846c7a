/** What others see of the scheduler. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { modelSnapshot } from "./testing/model-snapshot.ts";
import { SchedulerOnStage } from "./testing/scheduler-on-stage.ts";

const TWO = { models: { a: {}, b: {} } };

describe("a snapshot", () => {
  it("shows each model's state and since when, who waits and for how long, and what is in flight", () => {
    const stage = new SchedulerOnStage(TWO).bringUp("a", 1).pass(500).request("a", 2, 3).pass(200).request("b", 4);
    stage.pass(300).request("a", 5).pass(50);
    stage.scheduler.onAlarm(stage.nowMs);
    const { atMs, phase, models, switches } = stage.scheduler.snapshot();
    assert.equal(atMs, 1050);
    assert.equal(phase, "running");
    assert.deepEqual(models, [
      modelSnapshot("a", {
        state: { kind: "draining", to: 1 },
        stateSinceMs: 700,
        waiting: 1,
        oldestEnqueuedAtMs: 1000,
        inFlight: 2,
      }),
      modelSnapshot("b", { waiting: 1, oldestEnqueuedAtMs: 700 }),
    ]);
    assert.deepEqual(switches, [{ from: ["a"], to: "b", phase: "draining", cause: "requests", startedAtMs: 700 }]);
  });

  it("has the models in the order in which they were given, whatever devices they share", () => {
    const models = { a: { devices: ["0"] }, b: { devices: ["1"] }, c: { devices: ["0"] }, d: { devices: ["1", "2"] } };
    const { scheduler } = new SchedulerOnStage({ models });
    assert.deepEqual(
      scheduler.snapshot().models.map(({ id }) => id),
      ["a", "b", "c", "d"],
    );
  });

  it("shows the phases of a switch, and nothing once it has ended", () => {
    const stage = new SchedulerOnStage(TWO).bringUp("a", 1).request("a", 2).request("b", 3);
    const phases = (): string[] => stage.scheduler.snapshot().switches.map(({ phase }) => phase);
    assert.deepEqual(phases(), ["draining"]);
    stage.release(2);
    assert.deepEqual(phases(), ["evicting"]);
    stage.asleep("a");
    assert.deepEqual(phases(), ["waking"]);
    stage.awake("b");
    assert.deepEqual(phases(), []);
  });

  it("shows why a model failed and when it will be tried again", () => {
    const stage = new SchedulerOnStage(TWO).pass(100).request("a", 1).wakeFailed("a").pass(50).stopped("a");
    const { state, failuresInRow, lastFailure } = stage.model("a");
    assert.ok(state.kind === "failed");
    assert.equal(state.failure.message, "out of memory");
    assert.equal(state.retryAtMs, 2100);
    assert.equal(failuresInRow, 1);
    assert.equal(lastFailure?.code, "wake_failed");
  });

  it("shows the time of the last event, whichever that was", () => {
    const stage = new SchedulerOnStage(TWO).bringUp("a", 1).request("a", 2);
    const seen = (): number => stage.scheduler.snapshot().atMs;
    assert.equal((stage.pass(1).release(2), seen()), 1);
    assert.equal((stage.pass(1).request("b", 3), seen()), 2);
    assert.equal((stage.pass(1).abandon(3), seen()), 3);
    assert.equal((stage.pass(1).asleep("a"), seen()), 4);
    assert.equal((stage.pass(1).crashed("a"), seen()), 5);
    assert.equal((stage.pass(1).stopFailed("a"), seen()), 6);
    assert.equal((stage.pass(2000).stopped("a"), seen()), 2006);
    assert.equal((stage.pass(1).request("a", 4).pass(1).wakeFailed("a"), seen()), 2008);
    assert.equal((stage.pass(1).operator("b", "stop"), seen()), 2009);
    assert.equal((stage.pass(1).shutdown(), seen()), 2010);
  });

  it("does not change when the scheduler goes on", () => {
    const stage = new SchedulerOnStage(TWO);
    const before = stage.scheduler.snapshot();
    stage.request("a", 1).awake("a");
    assert.equal(before.models[0]?.state.kind, "stopped");
    assert.equal(before.models[0]?.waiting, 0);
  });
});

describe("the journal", () => {
  it("tells with each change of state how long the last one lasted", () => {
    const stage = new SchedulerOnStage(TWO).request("a", 1).pass(300).awake("a").pass(40).release(1).pass(2);
    stage.operator("a", "sleep");
    stage.pass(7).asleep("a");
    assert.deepEqual(
      stage.entries("state changed").map(({ from, to, lastedMs }) => `${from} ${lastedMs} ${to.kind}`),
      [
        "stopped 0 starting",
        "starting 300 awake",
        "awake 42 draining",
        "draining 0 falling asleep",
        "falling asleep 7 asleep",
      ],
    );
  });

  it("tells of the shutdown's beginning, with what was in flight, and of its end", () => {
    const stage = new SchedulerOnStage(TWO).bringUp("a", 1).request("a", 2, 3).shutdown().release([2, 3]).stopped("a");
    assert.deepEqual(stage.entries("shutdown started"), [{ kind: "shutdown started", inFlight: 2, atMs: 0 }]);
    assert.equal(stage.journal.at(-1)?.kind, "shutdown ended");
  });

  it("tells of leases how they ended, how long they were held, and which were asked back", () => {
    const stage = new SchedulerOnStage({ ...TWO, drainTimeoutMs: 0 }).bringUp("a", 1).request("a", 2).pass(70);
    stage.request("b", 3).pass(0).pass(5).release(2, "failed");
    assert.deepEqual(
      stage.entries("lease released").map(({ outcome, heldMs }) => `${outcome} after ${heldMs}`),
      ["served after 0", "failed after 75"],
    );
    assert.deepEqual(
      stage.entries("lease revoked").map(({ model, failure }) => `${model}: ${failure.code}`),
      ["a: drain_timeout"],
    );
  });

  it("tells of crashes and failed sleeps and stops, and when a stop is tried again", () => {
    const stage = new SchedulerOnStage(TWO).bringUp("a", 1).request("b", 2).sleepFailed("a").stopFailed("a");
    stage.pass(2000).stopped("a").crashed("b");
    const told = stage.journal.flatMap((entry) => {
      if (entry.kind === "engine crashed") return `${entry.model} crashed while ${entry.during}`;
      if (entry.kind === "stop failed") return `the stop of ${entry.model} failed, again at ${entry.retryAtMs}`;
      return entry.kind === "sleep failed" ? `the sleep of ${entry.model} failed` : [];
    });
    assert.deepEqual(told, [
      "the sleep of a failed",
      "the stop of a failed, again at 2000",
      "b crashed while starting",
    ]);
  });

  it("tells of every request what has become of it", () => {
    const stage = new SchedulerOnStage({ ...TWO, requestTimeoutMs: 1000 }).request("a", 1, 2, 3).pass(400).abandon(2);
    stage.request("a", 4).pass(600).awake("a").release(4, "failed").shutdown().request("b", 5);
    const told = stage.journal.flatMap((entry) => {
      if (entry.kind === "request queued") return `${entry.waiter} queued as number ${entry.depth}`;
      if (entry.kind === "request granted") return `${entry.waiter} granted after ${entry.waitedMs}`;
      if (entry.kind === "request refused") return `${entry.waiter} ${entry.failure.code} after ${entry.waitedMs}`;
      if (entry.kind === "request abandoned") return `${entry.waiter} abandoned after ${entry.waitedMs}`;
      return [];
    });
    assert.deepEqual(told.toSorted(), [
      "1 queue_timeout after 1000",
      "1 queued as number 1",
      "2 abandoned after 400",
      "2 queued as number 2",
      "3 queue_timeout after 1000",
      "3 queued as number 3",
      "4 granted after 600",
      "4 queued as number 3",
      "5 shutting_down after 0",
    ]);
  });
});
