/** Several models awake on one device, as far as its memory goes, and who must leave for whom. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { ModelSpec } from "./model.ts";
import { boundedWait } from "./policies/bounded-wait.ts";
import { SchedulerOnStage, type StageOptions } from "./testing/scheduler-on-stage.ts";

const GIB = 1024 ** 3;

type Models = Readonly<Record<string, Partial<Omit<ModelSpec, "id">>>>;

/** On one device of 80 GiB; what a sleeper leaves there is believed to be 2 GiB. */
function stageWith(models: Models, options: Partial<StageOptions> = {}): SchedulerOnStage {
  return new SchedulerOnStage({ models, devices: [{ id: "0", memoryBytes: 80 * GIB }], ...options });
}

const need = (gib: number, rest: Partial<ModelSpec> = {}): Partial<ModelSpec> => ({ needBytes: gib * GIB, ...rest });

describe("models that fit on a device together", () => {
  it("are awake together, and come up one after another", () => {
    const stage = stageWith({ a: need(30), b: need(40) })
      .request("a", 1)
      .request("b", 2);
    assert.deepEqual(stage.told(), ["start a"]);
    assert.deepEqual(stage.awake("a").told(), ["grant 1", "start b"]);
    assert.deepEqual(stage.awake("b").request("a", 3).told(), ["grant 2", "grant 3"]);
    const [device] = stage.scheduler.snapshot().devices;
    assert.deepEqual(device, { id: "0", memoryBytes: 80 * GIB, usedBytes: 70 * GIB });
  });

  it("are as many as fit beside what sleepers leave there", () => {
    const stage = stageWith({ a: need(30), b: need(50), c: need(1, { beginsAsleepAt: 1 }) }).bringUp("a", 1);
    stage.request("b", 2);
    assert.deepEqual(stage.told(), ["sleep a 1"], "81 GiB are too much");
  });

  it("are woken one at a time on a device whose memory is not known", () => {
    const stage = stageWith({ a: need(1), b: need(1) }, { devices: [] })
      .bringUp("a", 1)
      .request("b", 2);
    assert.deepEqual(stage.told(), ["sleep a 1"]);
  });
});

describe("who must leave", () => {
  it("is the one that nobody has used for longest, if they cost the same", () => {
    const stage = stageWith({ a: need(30), b: need(30), c: need(30) })
      .bringUp("a", 1)
      .pass(1000)
      .bringUp("b", 2);
    stage.pass(1000).request("c", 3);
    assert.deepEqual(stage.told(), ["sleep a 1"]);
  });

  it("is nobody who is used while one that is not would do", () => {
    const stage = stageWith({ a: need(30), b: need(30), c: need(30) })
      .bringUp("a", 1)
      .pass(1000)
      .bringUp("b", 2);
    stage.request("a", 3).pass(1000).request("c", 4);
    assert.deepEqual(stage.told(), ["grant 3", "sleep b 1"]);
  });

  it("is the one with least to do, if all are used", () => {
    const stage = stageWith({ a: need(30), b: need(30), c: need(30) })
      .bringUp("a", 1)
      .bringUp("b", 2);
    stage.request("a", 3, 4).request("b", 5).request("c", 6).told();
    assert.deepEqual([stage.state("a"), stage.state("b")], ["awake", "draining"]);
  });

  it("is nobody whose going would not be needed", () => {
    const stage = stageWith({ a: need(10), b: need(60), c: need(60) })
      .bringUp("a", 1)
      .pass(1000)
      .bringUp("b", 2);
    stage.pass(1000).request("c", 3);
    assert.deepEqual(stage.told(), ["sleep b 1"], "a came first, and makes too little room");
    assert.deepEqual(stage.asleep("b").awake("c").told(), ["start c", "grant 3"]);
    assert.equal(stage.state("a"), "awake");
  });

  it("is a sleeper's process before a model in use", () => {
    const models = { a: need(40), b: need(36), s: need(20, { beginsAsleepAt: 1 }), t: need(30, { beginsAsleepAt: 1 }) };
    const stage = stageWith(models).bringUp("a", 1).request("a", 2).request("b", 3);
    assert.deepEqual(stage.told(), ["grant 2", "start b"], "80 GiB are just enough");
    const full = stageWith({ ...models, b: need(37) })
      .bringUp("a", 1)
      .request("a", 2)
      .request("b", 3);
    assert.deepEqual(full.told(), ["grant 2", "stop s"]);
    assert.deepEqual(full.stopped("s").told(), ["start b"]);
    assert.deepEqual(full.awake("b").told(), ["grant 3"]);
  });

  it("takes its process with it where even what it leaves behind has been measured to be too much", () => {
    const stage = stageWith({ a: need(40), b: need(79) })
      .bringUp("a", 1)
      .memoryMeasured("a", { residueBytes: 2 * GIB });
    assert.deepEqual(stage.request("b", 2).told(), ["stop a"]);
    assert.deepEqual(stage.stopped("a").told(), ["start b"]);
  });
});

describe("a pinned model", () => {
  it("never leaves; who fits beside it takes turns there", () => {
    const stage = stageWith({ p: need(40, { pinned: true }), a: need(30), b: need(30) }).bringUp("p", 1);
    stage.request("a", 2).awake("a").release(2).request("b", 3);
    assert.deepEqual(stage.told(), ["start a", "grant 2", "sleep a 1"]);
    assert.equal(stage.state("p"), "awake");
  });

  for (const [name, policy] of [
    ["fifo", {}],
    ["bounded wait", { policy: boundedWait({ targetWaitMs: 1_000, maxWaitMs: 2_000 }) }],
  ] as const) {
    it(`keeps one out that does not fit beside it, which keeps nobody else from coming up (${name})`, () => {
      const models = { p: need(40, { pinned: true }), big: need(60), small: need(20), other: need(25) };
      const stage = stageWith(models, policy).bringUp("p", 1).request("big", 2, 3, 4).pass(10_000).request("small", 5);
      assert.deepEqual(stage.told(), ["start small"]);
      assert.deepEqual(stage.awake("small").request("big", 6).release(5).request("other", 7).told(), [
        "grant 5",
        "sleep small 1",
      ]);
      stage.asleep("small").awake("other").told();
      stage.pass(50_000);
      assert.match(
        stage.reasons.get(2)?.message ?? "",
        /within 60 s: it needs 60 GiB of GPU 0, p must stay, and that has 80 GiB in all/,
      );
    });
  }

  it("can be put away by an operator, and then the others have its room", () => {
    const stage = stageWith({ p: need(40, { pinned: true }), big: need(60) })
      .bringUp("p", 1)
      .request("big", 2);
    assert.deepEqual(stage.told(), []);
    assert.equal(stage.operator("p", "sleep"), null);
    assert.deepEqual(stage.asleep("p").told(), ["sleep p 1", "start big"]);
  });
});

describe("what was measured", () => {
  it("counts from then on: a model that was awake alone because nothing was known of it is so no more", () => {
    const stage = stageWith({ a: {}, b: need(30) })
      .bringUp("a", 1)
      .request("b", 2);
    assert.deepEqual(stage.told(), ["sleep a 1"]);
    stage.asleep("a").awake("b").release(2).told();
    stage.memoryMeasured("a", { awakeBytes: 20 * GIB }).request("a", 3);
    assert.deepEqual(stage.told(), ["wake a 1"]);
    assert.deepEqual(stage.entries("memory differs"), [], "nothing had been believed");
  });

  it("is told when it differs from what was believed by more than a tenth", () => {
    const stage = stageWith({ a: need(30), b: need(30) })
      .bringUp("a", 1)
      .bringUp("b", 2);
    stage.memoryMeasured("a", { awakeBytes: 32 * GIB }).memoryMeasured("b", { awakeBytes: 40 * GIB });
    assert.deepEqual(
      stage
        .entries("memory differs")
        .map(({ model, believedBytes, measuredBytes }) => [model, believedBytes / GIB, measuredBytes / GIB]),
      [["b", 30, 40]],
    );
    assert.equal(stage.model("a").memory.needBytes, 32 * GIB);
  });

  it("lets one begin at once that had no room by what was believed", () => {
    const models = { p: need(60, { pinned: true }), b: need(30) };
    const stage = stageWith(models).bringUp("p", 1).request("b", 2);
    assert.deepEqual(stage.told(), []);
    assert.deepEqual(stage.memoryMeasured("p", { awakeBytes: 40 * GIB }).told(), ["start b"]);
  });

  it("of an engine that needs little awake says that it leaves no more than that behind", () => {
    const stage = stageWith({ a: {}, b: need(80) })
      .bringUp("a", 1)
      .memoryMeasured("a", { awakeBytes: 1 * GIB });
    assert.equal(stage.model("a").memory.residueBytes, 1 * GIB);
    assert.deepEqual(stage.request("b", 2).told(), ["sleep a 1"]);
  });
});
