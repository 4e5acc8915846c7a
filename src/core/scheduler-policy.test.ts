/** When the policy is asked, and what becomes of its answers. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Policy, PolicyView } from "./policy.ts";
import { SchedulerOnStage } from "./testing/scheduler-on-stage.ts";

const THREE = { models: { a: {}, b: {}, c: {} } };

/** Makes nobody leave who is serving. */
const patient: Policy = ({ candidates }) => {
  const idle = candidates.find(({ obstacle, victims }) => {
    return obstacle === null && victims.every(({ inFlight }) => inFlight === 0);
  });
  if (idle === undefined) return { kind: "stay", askAgainAtMs: null };
  return { kind: "switch", to: idle.model, because: "nobody is served" };
};

/** Does not look whether anything is in the way. */
const blind: Policy = ({ candidates }) => {
  return { kind: "switch", to: candidates.at(-1)?.model ?? "", because: "it does not look" };
};

const restless: Policy = ({ nowMs }) => ({ kind: "stay", askAgainAtMs: nowMs });

describe("a policy", () => {
  it("is asked again when a lease is handed in, so that it can wait for that", () => {
    const stage = new SchedulerOnStage({ ...THREE, policy: patient })
      .bringUp("a", 1)
      .request("a", 2, 3)
      .request("b", 4);
    assert.deepEqual(stage.told(), ["grant 2", "grant 3"]);
    stage.release(2);
    assert.equal(stage.state("a"), "awake");
    stage.release(3);
    assert.deepEqual(stage.told(), ["sleep a 1"]);
  });

  it("is not asked when nobody waits, nor about a model that is coming", () => {
    const asked: string[] = [];
    const policy: Policy = (view) => {
      asked.push(view.candidates.map(({ model }) => model).join());
      return patient(view);
    };
    const stage = new SchedulerOnStage({ ...THREE, policy }).request("a", 1, 2);
    assert.deepEqual(asked, ["a"]);
    stage.awake("a").release([1, 2]).request("a", 3).release(3);
    assert.deepEqual(asked, ["a"]);
  });

  it("is asked at the time that it has asked for, and no more at one that it has thought better of", () => {
    const times: number[] = [];
    const policy: Policy = ({ nowMs, candidates }) => {
      times.push(nowMs);
      return { kind: "stay", askAgainAtMs: candidates.length === 1 ? 100 : 70 };
    };
    const stage = new SchedulerOnStage({ ...THREE, policy, requestTimeoutMs: 1000 }).request("a", 1);
    assert.equal(stage.alarmAtMs, 100);
    stage.request("b", 2);
    assert.equal(stage.alarmAtMs, 70);
    stage.abandon(2);
    assert.equal(stage.alarmAtMs, 100);
    assert.deepEqual(times, [0, 0, 0]);
  });

  it("sees queues, ages, who would have to leave, what is in the way, and what it would cost", () => {
    const views: PolicyView[] = [];
    const policy: Policy = (view) => {
      views.push(view);
      return patient(view);
    };
    const stage = new SchedulerOnStage({ ...THREE, policy }).request("a", 1).pass(400).awake("a").pass(100);
    stage.request("b", 2).pass(50).request("b", 3).request("c", 4);
    const view = views.at(-1);
    assert.equal(view?.nowMs, 550);
    const same = {
      devices: ["0"],
      obstacle: null,
      victims: [{ model: "a", awakeSinceMs: 400, inFlight: 1, waiting: 0, load: 1 }],
      switchCostMs: 30_000,
      switchBackCostMs: 3000,
      drainMs: 0,
      visitMs: 5000,
      forcedCreditMs: 0,
    };
    assert.deepEqual(view?.candidates, [
      {
        model: "b",
        waiting: 2,
        oldestEnqueuedAtMs: 500,
        weight: 2,
        pressingWeight: 2,
        weightedEnqueuedAtMs: 1050,
        ...same,
      },
      {
        model: "c",
        waiting: 1,
        oldestEnqueuedAtMs: 550,
        weight: 1,
        pressingWeight: 1,
        weightedEnqueuedAtMs: 550,
        ...same,
      },
    ]);
  });

  it("sees what is in the way of a candidate, and is not asked while nothing can begin at all", () => {
    const views: PolicyView[] = [];
    const policy: Policy = (view) => {
      views.push(view);
      return patient(view);
    };
    const models = { a: {}, b: {}, wide: { devices: ["0", "1"] } };
    const stage = new SchedulerOnStage({ models, policy }).request("a", 1).request("b", 2);
    assert.deepEqual(
      views.at(-1)?.candidates.map(({ model, obstacle }) => `${model}: ${obstacle}`),
      ["b: device 0 is switching to a"],
    );
    const busy = new SchedulerOnStage({ ...THREE, policy }).request("a", 1);
    const before = views.length;
    busy.request("b", 2).request("c", 3);
    assert.equal(views.length, before);
    busy.awake("a");
    assert.equal(views.at(-1)?.candidates.length, 2);
    assert.equal(stage.state("a"), "starting");
  });

  it("that names a model which cannot come up is a bug", () => {
    const models = { a: {}, b: {}, wide: { devices: ["0", "1"] } };
    const stage = new SchedulerOnStage({ models, policy: blind }).request("a", 1);
    assert.throws(() => stage.request("b", 2), /began against an obstacle/);
  });

  it("that wants to be asked again at once is a bug: it would be asked for ever", () => {
    const stage = new SchedulerOnStage({ ...THREE, policy: restless });
    assert.throws(() => stage.request("a", 1), /wants to be asked again at 0, and it is 0/);
  });
});
