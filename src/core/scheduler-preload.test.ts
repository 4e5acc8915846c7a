/** Preloading beside requests: it keeps out of their way. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { ModelSpec } from "./model.ts";
import { SchedulerOnStage, type StageOptions } from "./testing/scheduler-on-stage.ts";

const GIB = 1024 ** 3;
const PRELOAD: Partial<ModelSpec> = { preload: true };

function begun(models: StageOptions["models"], options: Partial<StageOptions> = {}): SchedulerOnStage {
  return new SchedulerOnStage({ models, ...options }).started();
}

describe("a request that comes while a model is preloaded", () => {
  it("has the start broken off if it is for another model there; that is tried again when nobody waits any more", () => {
    const stage = begun({ a: PRELOAD, b: {} }).request("b", 1);
    assert.deepEqual(stage.told(), ["start a", "stop a"]);
    assert.deepEqual(stage.stopped("a").awake("b").told(), ["start b", "grant 1"]);
    assert.deepEqual(stage.pass(60_000).told(), [], "b is used");
    stage.release(1).pass(4_000);
    assert.deepEqual(stage.told(), [], "b was used a moment ago");
    assert.deepEqual(stage.pass(2_000).told(), ["sleep b 1"]);
    assert.deepEqual(stage.asleep("b").awake("a").asleep("a").told(), ["start a", "sleep a 1"]);
    assert.deepEqual(stage.pass(3_600_000).told(), []);
  });

  it("waits for the start if it is for that model, which stays awake then", () => {
    const stage = begun({ a: PRELOAD, b: {} }).request("a", 1);
    assert.deepEqual(stage.awake("a").told(), ["start a", "grant 1"]);
    assert.deepEqual(stage.release(1).pass(60_000).told(), []);
  });

  it("waits for the start if somebody waits for that model already", () => {
    const stage = begun({ a: PRELOAD, b: {} }).request("a", 1).request("b", 2);
    assert.deepEqual(stage.told(), ["start a"]);
    stage.awake("a").release(1);
    assert.deepEqual(stage.told(), ["grant 1", "sleep a 1"]);
  });

  it("finds it asleep soon after if it has gone before the start has ended", () => {
    const stage = begun({ a: PRELOAD, b: {} }).request("a", 1).abandon(1).awake("a");
    assert.deepEqual(stage.told(), ["start a", "sleep a 1"]);
  });

  it("for the model that leaves for it wakes that as soon as it sleeps, and the preload is off", () => {
    const stage = new SchedulerOnStage({ models: { b: {}, a: PRELOAD } }).bringUp("b", 1).pass(10_000).started();
    assert.deepEqual(stage.told(), ["sleep b 1"]);
    stage.request("b", 2);
    assert.deepEqual(stage.told(), [], "it cannot but fall asleep");
    assert.deepEqual(stage.asleep("b").told(), ["wake b 1"]);
    assert.equal(stage.entries("switch cancelled").length, 1);
  });

  it("has it put off on its own devices, and not on others", () => {
    const stage = begun({ a: PRELOAD, r: { preload: true, devices: ["1"] } }).request("a", 1);
    assert.deepEqual(stage.told(), ["start a", "start r"]);
    stage.awake("a").request("a", 2);
    assert.deepEqual(stage.awake("r").told(), ["grant 1", "grant 2", "sleep r 1"]);
  });

  it("does not have it broken off if it only waits for a place in a model that is awake beside it", () => {
    const models = { a: { needBytes: 20 * GIB, inFlightMax: 1 }, b: { needBytes: 20 * GIB, preload: true } };
    const stage = new SchedulerOnStage({ models, devices: [{ id: "0", memoryBytes: 80 * GIB }] }).bringUp("a", 1);
    stage.request("a", 2).started();
    assert.deepEqual(stage.told(), ["grant 2", "start b"]);
    stage.request("a", 3);
    assert.deepEqual(stage.told(), []);
    assert.deepEqual(stage.awake("b").told(), ["sleep b 1"]);
  });
});

describe("preloading beside others", () => {
  it("does not begin while somebody waits there", () => {
    const models = { wide: { devices: ["0", "1"] }, l: {}, r: { preload: true, devices: ["1"] } };
    const stage = new SchedulerOnStage({ models }).bringUp("l", 1).request("l", 2).request("wide", 3).started();
    assert.deepEqual(stage.told(), ["grant 2"]);
    stage.abandon(3).pass(1_000);
    assert.deepEqual(stage.told(), ["start r"]);
  });

  it("makes nobody leave who is used, or was a moment ago", () => {
    const stage = new SchedulerOnStage({ models: { b: {}, a: PRELOAD } }).bringUp("b", 1).request("b", 2).started();
    stage.pass(60_000).told();
    stage.release(2);
    assert.deepEqual(stage.pass(4_999).told(), []);
    assert.deepEqual(stage.pass(1_001).told(), ["sleep b 1"]);
  });

  it("makes nobody leave where there is room", () => {
    const models = { b: { needBytes: 30 * GIB }, a: { needBytes: 30 * GIB, preload: true } };
    const stage = new SchedulerOnStage({ models, devices: [{ id: "0", memoryBytes: 80 * GIB }] }).bringUp("b", 1);
    stage.request("b", 2).started();
    assert.deepEqual(stage.told(), ["grant 2", "start a"]);
    assert.deepEqual(stage.awake("a").asleep("a").told(), ["sleep a 1"]);
  });

  it("ends no sleeper's process: who finds no room is left to its first request", () => {
    const spec = { needBytes: 76 * GIB, preload: true };
    const stage = begun({ a: spec, b: spec, c: spec, d: spec }, { devices: [{ id: "0", memoryBytes: 80 * GIB }] });
    for (const model of ["a", "b", "c"]) stage.awake(model).asleep(model);
    assert.deepEqual(stage.told(), ["start a", "sleep a 1", "start b", "sleep b 1", "start c", "sleep c 1"]);
    assert.deepEqual(stage.pass(3_600_000).told(), []);
    assert.equal(stage.alarmAtMs, null, "it is not waited for");
    assert.deepEqual(stage.request("d", 1).told(), ["stop a"]);
  });

  it("gives a pinned model its room, sleepers or not", () => {
    const models = {
      s: { needBytes: 70 * GIB, beginsAsleepAt: 1 as const },
      p: { needBytes: 79 * GIB, preload: true, pinned: true },
    };
    const stage = begun(models, { devices: [{ id: "0", memoryBytes: 80 * GIB }] });
    assert.deepEqual(stage.told(), ["stop s"]);
    assert.deepEqual(stage.stopped("s").awake("p").told(), ["start p"]);
  });

  it("leaves one out that does not fit beside a pinned one", () => {
    const models = {
      p: { needBytes: 60 * GIB, pinned: true, preload: true },
      a: { needBytes: 30 * GIB, preload: true },
    };
    const stage = begun(models, { devices: [{ id: "0", memoryBytes: 80 * GIB }] }).awake("p");
    assert.deepEqual(stage.told(), ["start p"]);
    assert.deepEqual(stage.pass(3_600_000).told(), []);
    assert.equal(stage.alarmAtMs, null);
  });

  it("is over with llmux", () => {
    const stage = begun({ a: PRELOAD, b: PRELOAD }).shutdown();
    assert.deepEqual(stage.told(), ["start a", "stop a"]);
    assert.deepEqual(stage.stopped("a").told(), ["finished"]);
    assert.equal(stage.alarmAtMs, null);
  });
});
