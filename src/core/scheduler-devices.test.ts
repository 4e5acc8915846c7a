/** Several devices: what goes on side by side, and what may not pass what. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { SchedulerOnStage } from "./testing/scheduler-on-stage.ts";

const LEFT = { devices: ["0"] };
const RIGHT = { devices: ["1"] };
const WIDE = { devices: ["0", "1"] };

describe("models on different devices", () => {
  it("come up side by side", () => {
    const stage = new SchedulerOnStage({ models: { l: LEFT, r: RIGHT } }).request("l", 1).request("r", 2);
    assert.deepEqual(stage.told(), ["start l", "start r"]);
  });

  it("do not wait for each other's drains", () => {
    const stage = new SchedulerOnStage({ models: { l: LEFT, m: LEFT, r: RIGHT } }).bringUp("l", 1).request("l", 2);
    stage.request("m", 3).request("r", 4);
    assert.deepEqual(stage.told(), ["grant 2", "start r"]);
  });
});

describe("a model on two devices", () => {
  it("waits until both have been left", () => {
    const stage = new SchedulerOnStage({ models: { l: LEFT, r: RIGHT, wide: WIDE } }).bringUp("l", 1).bringUp("r", 2);
    stage.request("r", 3).request("wide", 4);
    assert.deepEqual(
      stage.told(),
      ["grant 3"],
      "nobody is put away before all have drained: it can still be called off",
    );
    stage.release(3);
    assert.deepEqual(stage.told(), ["sleep l 1", "sleep r 1"]);
    stage.asleep("r");
    assert.deepEqual(stage.told(), []);
    assert.deepEqual(stage.asleep("l").told(), ["start wide"]);
  });

  it("has nobody drained for it while one of those who must leave drains for an operator already", () => {
    const stage = new SchedulerOnStage({ models: { l: LEFT, r: RIGHT, wide: WIDE } }).bringUp("l", 1).bringUp("r", 2);
    stage.request("r", 3).operator("r", "sleep");
    stage.request("wide", 4).request("l", 5);
    assert.deepEqual(stage.told(), ["grant 3", "grant 5"]);
    stage.release(3).asleep("r").release(5);
    assert.deepEqual(stage.told(), ["sleep r 1", "sleep l 1"]);
  });

  it("does not begin to leave while something else changes on its other device", () => {
    const models = { l: LEFT, r: RIGHT, wide: WIDE };
    const stage = new SchedulerOnStage({ models }).bringToSleep("r", 1).bringUp("wide", 2).crashed("r").request("l", 3);
    assert.deepEqual(stage.told(), ["stop r"]);
    assert.equal(stage.state("wide"), "awake");
    assert.deepEqual(stage.stopped("r").told(), ["sleep wide 1"]);
  });

  it("opens the gates of all it had drained when nobody wants it any more", () => {
    const stage = new SchedulerOnStage({ models: { l: LEFT, r: RIGHT, wide: WIDE } }).bringUp("l", 1).bringUp("r", 2);
    stage.request("r", 3).request("wide", 4).request("l", 5).request("r", 6).told();
    stage.abandon(4);
    assert.deepEqual(stage.told(), ["grant 5", "grant 6"]);
  });

  it("is not starved by small ones that keep coming", () => {
    const models = { l: LEFT, m: LEFT, r: RIGHT, s: RIGHT, wide: WIDE };
    const stage = new SchedulerOnStage({ models }).request("l", 1).request("r", 2).pass(1).request("wide", 3).pass(1);
    stage.request("m", 4).request("s", 5).told();
    stage.awake("l").release(1);
    assert.deepEqual(stage.told(), ["grant 1"], "m may not take device 0, for which wide waits");
    stage.awake("r").release(2);
    assert.deepEqual(stage.told(), ["grant 2", "sleep l 1", "sleep r 1"]);
    stage.asleep("l").asleep("r").awake("wide");
    assert.deepEqual(stage.told(), ["start wide", "grant 3"]);
  });

  it("leaves both devices for a small one, and the other may then be used by another small one", () => {
    const stage = new SchedulerOnStage({ models: { l: LEFT, r: RIGHT, wide: WIDE } }).bringUp("wide", 1);
    stage.request("l", 2).request("r", 3).asleep("wide").awake("l");
    assert.deepEqual(stage.told(), ["sleep wide 1", "start l", "grant 2", "start r"]);
  });

  it("keeps both devices closed while what is left of it does not go away", () => {
    const stage = new SchedulerOnStage({ models: { l: LEFT, r: RIGHT, wide: WIDE } })
      .bringUp("wide", 1)
      .crashed("wide");
    stage.request("l", 2).request("r", 3).stopFailed("wide");
    assert.deepEqual(stage.told(), ["stop wide"]);
    stage.pass(2000).stopped("wide");
    assert.deepEqual(stage.told(), ["stop wide", "start l", "start r"]);
  });
});

describe("a stop that fails on one device", () => {
  it("does not keep the other device of a switch closed once nobody wants that switch any more", () => {
    const models = { l: LEFT, m: LEFT, r: RIGHT, wide: WIDE };
    const stage = new SchedulerOnStage({ models, requestTimeoutMs: 5000 }).bringToSleep("m", 1).bringUp("l", 2);
    stage.request("wide", 3).pass(1000).request("r", 4).crashed("m").stopFailed("m").asleep("l");
    assert.deepEqual(stage.told(), ["sleep l 1", "stop m"]);
    stage.pass(1500).abandon(3);
    assert.deepEqual(stage.told(), ["start r"]);
  });

  it("does not keep the others from going on", () => {
    const stage = new SchedulerOnStage({ models: { l: LEFT, r: RIGHT } }).bringUp("l", 1).crashed("l").stopFailed("l");
    stage.request("r", 2).awake("r");
    assert.deepEqual(stage.told(), ["stop l", "start r", "grant 2"]);
  });
});
