/** A wake or a start that finds too little memory: one more must go, and it is tried once more. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { ModelSpec } from "./model.ts";
import { SchedulerOnStage, type StageOptions } from "./testing/scheduler-on-stage.ts";

const GIB = 1024 ** 3;

/** `a` sleeps; by the figures `b`, `c` and `a` fit together, and `b` and `c` are awake. */
function crowded(options: Partial<StageOptions> = {}, a: Partial<ModelSpec> = {}): SchedulerOnStage {
  const spec = { needBytes: 20 * GIB };
  const models = { a: { ...spec, beginsAsleepAt: 1 as const, ...a }, b: spec, c: spec };
  const stage = new SchedulerOnStage({ models, devices: [{ id: "0", memoryBytes: 80 * GIB }], ...options });
  return stage.bringUp("b", 1).pass(1000).bringUp("c", 2).pass(1000);
}

describe("a wake that finds too little memory", () => {
  it("is tried again from the same sleep when the cheapest one has gone to sleep", () => {
    const stage = crowded().request("a", 3);
    assert.deepEqual(stage.told(), ["wake a 1"]);
    stage.wakeFailed("a", "out_of_memory");
    assert.deepEqual(stage.told(), ["sleep b 1"], "b has not been used for longest");
    assert.equal(stage.state("a"), "asleep");
    assert.deepEqual(stage.asleep("b").told(), ["wake a 1"]);
    assert.deepEqual(stage.awake("a").told(), ["grant 3"]);
    assert.equal(stage.model("a").failuresInRow, 0);
    assert.deepEqual(
      stage.entries("wake retried").map(({ model, evicting }) => [model, evicting]),
      [["a", "b"]],
    );
  });

  it("fails the second time, with the figures, and those who are well stay", () => {
    const stage = crowded().request("a", 3).wakeFailed("a", "out_of_memory").asleep("b").told();
    assert.deepEqual(stage, ["wake a 1", "sleep b 1", "wake a 1"]);
    const again = crowded().request("a", 3).wakeFailed("a", "out_of_memory").asleep("b");
    again.told();
    again.wakeFailed("a", "out_of_memory");
    assert.deepEqual(again.told(), ["stop a", "refuse 3 out_of_memory"]);
    assert.equal(
      again.reasons.get(3)?.message,
      "out of memory; it needs 20 GiB of each GPU; GPU 0 has 80 GiB, and c, b are there",
    );
    assert.equal(again.reasons.get(3)?.retryAfterMs, 2000);
    assert.deepEqual([again.state("b"), again.state("c")], ["asleep", "awake"]);
  });

  it("has the requests of one drained that is used, if all are, and is tried when they have ended", () => {
    const stage = crowded().request("b", 3, 4).request("c", 5).request("a", 6).wakeFailed("a", "out_of_memory");
    assert.deepEqual(stage.told(), ["grant 3", "grant 4", "grant 5", "wake a 1"]);
    assert.deepEqual([stage.state("b"), stage.state("c")], ["awake", "draining"]);
    stage.pass(3_600).release(5);
    assert.deepEqual(stage.told(), ["sleep c 1"]);
    assert.deepEqual(stage.asleep("c").awake("a").told(), ["wake a 1", "grant 6"]);
  });

  it("makes the cheapest one leave who frees what was missing, or the one who frees most", () => {
    const small = { needBytes: 5 * GIB };
    const big = { needBytes: 30 * GIB };
    const leaves = (freeGib: number): readonly string[] => {
      const models = { a: { needBytes: 20 * GIB, beginsAsleepAt: 1 as const }, small, big };
      const stage = new SchedulerOnStage({ models, devices: [{ id: "0", memoryBytes: 80 * GIB }] });
      stage.bringUp("small", 1).pass(1000).bringUp("big", 2).pass(1000).request("big", 3).request("a", 4).told();
      return stage
        .wakeFailed("a", "out_of_memory", freeGib * GIB)
        .release(3)
        .told();
    };
    // Nobody uses the small one; it leaves 2 GiB behind, as far as is known, and so frees 3.
    assert.deepEqual(leaves(18), ["sleep small 1"]);
    assert.deepEqual(leaves(16), ["sleep big 1"]);
    assert.deepEqual(leaves(-20), ["sleep big 1"]);
  });

  it("is tried again also when requests stand still in one that has left for it", () => {
    const need = { needBytes: 30 * GIB };
    const models = {
      a: need,
      b: { ...need, canSuspend: true },
      s: { needBytes: 10 * GIB, beginsAsleepAt: 1 as const },
    };
    const options = { models, devices: [{ id: "0", memoryBytes: 40 * GIB }], drainBudgetMs: 0 };
    const stage = new SchedulerOnStage(options).request("b", 1).awake("b").request("a", 2).pass(30_000);
    stage.asleep("b").told();
    assert.equal(stage.state("a"), "starting");
    stage.wakeFailed("a", "out_of_memory").stopped("a");
    assert.deepEqual(stage.told(), ["stop a", "stop s"]);
    assert.deepEqual(stage.stopped("s").told(), ["start a"]);
  });

  it("ends a sleeper's process, if nobody else is there", () => {
    const models = { a: { beginsAsleepAt: 1 as const }, s: { beginsAsleepAt: 1 as const } };
    const stage = new SchedulerOnStage({ models }).request("a", 1).wakeFailed("a", "out_of_memory");
    assert.deepEqual(stage.told(), ["wake a 1", "stop s"]);
    assert.deepEqual(stage.stopped("s").awake("a").told(), ["wake a 1", "grant 1"]);
  });

  it("ends the process of the one that has just left for it, if what that left behind is in the way", () => {
    const models = { a: { needBytes: 79 * GIB, beginsAsleepAt: 1 as const }, b: { needBytes: 20 * GIB } };
    const stage = new SchedulerOnStage({ models, devices: [{ id: "0", memoryBytes: 80 * GIB }] }).bringUp("b", 1);
    stage.request("a", 2).asleep("b");
    assert.deepEqual(stage.told(), ["sleep b 1", "wake a 1"], "nobody has measured yet what b leaves");
    assert.deepEqual(stage.wakeFailed("a", "out_of_memory").told(), ["stop b"]);
    assert.deepEqual(stage.stopped("b").awake("a").told(), ["wake a 1", "grant 2"]);
  });

  it("fails rather than that answers break off which stand still in the only one that could go", () => {
    const models = { a: { beginsAsleepAt: 1 as const }, b: { canSuspend: true, beginsAsleepAt: 1 as const } };
    const stage = new SchedulerOnStage({ models, drainBudgetMs: 0 }).request("b", 1).awake("b").request("a", 2);
    stage.pass(1000).asleep("b").told();
    assert.deepEqual(stage.wakeFailed("a", "out_of_memory").told(), ["stop a", "refuse 2 out_of_memory"]);
    stage.stopped("a").awake("b");
    assert.equal(stage.model("b").suspended, 0, "they go on");
  });

  it("fails at once when nobody can go", () => {
    const pinned = { pinned: true, needBytes: 20 * GIB };
    const stage = new SchedulerOnStage({
      models: { a: { needBytes: 20 * GIB, beginsAsleepAt: 1 }, b: pinned },
      devices: [{ id: "0", memoryBytes: 80 * GIB }],
    }).bringUp("b", 1);
    stage.request("a", 2).wakeFailed("a", "out_of_memory");
    assert.deepEqual(stage.told(), ["wake a 1", "stop a", "refuse 2 out_of_memory"]);
    assert.match(stage.reasons.get(2)?.message ?? "", /GPU 0 has 80 GiB, and b is there/);
  });

  it("fails at once when nobody waits for it any more", () => {
    const stage = crowded().request("a", 3).abandon(3);
    stage.told();
    assert.deepEqual(stage.wakeFailed("a", "out_of_memory").told(), ["stop a"]);
    assert.deepEqual([stage.state("b"), stage.state("c")], ["awake", "awake"]);
  });

  it("is given up while room is made for it, when the last one who waited has gone: who has not left yet stays", () => {
    const stage = crowded().request("b", 3).request("c", 4, 5).request("a", 6).wakeFailed("a", "out_of_memory");
    stage.told();
    assert.equal(stage.state("b"), "draining");
    assert.deepEqual(stage.request("b", 7).abandon(6).told(), ["grant 7"]);
    assert.deepEqual([stage.state("a"), stage.state("b"), stage.state("c")], ["asleep", "awake", "awake"]);
    assert.deepEqual(stage.request("a", 8).told(), ["wake a 1"], "another one may try");
  });

  it("is given up while somebody falls asleep for it, who does so all the same", () => {
    const stage = crowded().request("a", 3).wakeFailed("a", "out_of_memory").abandon(3);
    stage.told();
    assert.deepEqual(stage.asleep("b").told(), []);
    assert.deepEqual(stage.request("a", 4).told(), ["wake a 1"]);
  });

  it("goes on when the one who was to make room dies instead", () => {
    const stage = crowded().request("b", 3).request("c", 4, 5).request("a", 6).wakeFailed("a", "out_of_memory");
    stage.told();
    stage.crashed("b");
    assert.deepEqual(stage.told(), ["revoke 3 engine_crashed", "stop b"]);
    stage.release(3, "failed").stopped("b");
    assert.deepEqual(stage.told(), ["wake a 1"]);
  });

  it("goes on from a start when its own engine dies meanwhile", () => {
    const stage = crowded().request("a", 3).wakeFailed("a", "out_of_memory").crashed("a");
    assert.deepEqual(stage.told(), ["wake a 1", "sleep b 1", "stop a"]);
    assert.deepEqual(stage.asleep("b").told(), []);
    assert.deepEqual(stage.stopped("a").told(), ["start a"]);
  });

  it("keeps what stands still on it, until it fails for good", () => {
    const models = {
      a: { needBytes: 20 * GIB, canSuspend: true, beginsAsleepAt: 1 as const },
      d: { needBytes: 70 * GIB },
    };
    const devices = [{ id: "0", memoryBytes: 80 * GIB }];
    const stage = new SchedulerOnStage({ models, devices, drainBudgetMs: 0 }).request("a", 1).awake("a");
    stage.request("d", 2).pass(1000).asleep("a").awake("d").release(2).asleep("d").told();
    stage.wakeFailed("a", "out_of_memory");
    assert.deepEqual(stage.told(), ["stop d"]);
    assert.equal(stage.model("a").suspended, 1);
    assert.deepEqual(stage.stopped("d").told(), ["wake a 1"]);
    stage.wakeFailed("a", "out_of_memory");
    assert.deepEqual(stage.told(), ["revoke 1 out_of_memory", "stop a"]);
    stage.release(1, "failed").stopped("a");
  });
});

describe("a start that finds too little memory", () => {
  const models = { a: { needBytes: 20 * GIB }, b: { needBytes: 20 * GIB } };

  it("is tried again when what is left of it is gone, and one more has gone to sleep", () => {
    const stage = new SchedulerOnStage({ models, devices: [{ id: "0", memoryBytes: 80 * GIB }] }).bringUp("b", 1);
    stage.request("a", 2).wakeFailed("a", "out_of_memory");
    assert.deepEqual(stage.told(), ["start a", "stop a"], "one after the other");
    assert.equal(stage.model("a").waiting, 1);
    assert.deepEqual(stage.stopped("a").told(), ["sleep b 1"]);
    assert.deepEqual(stage.asleep("b").told(), ["start a"]);
    assert.deepEqual(stage.awake("a").told(), ["grant 2"]);
  });

  it("waits for a stop of it that fails, and is given up when nobody waits any more", () => {
    const stage = new SchedulerOnStage({ models, devices: [{ id: "0", memoryBytes: 80 * GIB }] }).bringUp("b", 1);
    stage.request("a", 2).wakeFailed("a", "out_of_memory").stopFailed("a").told();
    assert.deepEqual(stage.pass(2000).told(), ["stop a"]);
    stage.abandon(2).stopped("a");
    assert.deepEqual(stage.told(), []);
    assert.deepEqual([stage.state("a"), stage.state("b")], ["stopped", "awake"]);
  });

  it("of a preload fails at once: for that nobody has to go", () => {
    const preloaded = { ...models, a: { ...models.a, preload: true } };
    const stage = new SchedulerOnStage({ models: preloaded, devices: [{ id: "0", memoryBytes: 80 * GIB }] });
    stage.bringUp("b", 1).started().wakeFailed("a", "out_of_memory");
    assert.deepEqual(stage.told(), ["start a", "stop a"]);
    stage.stopped("a");
    assert.equal(stage.state("b"), "awake");
    assert.deepEqual(stage.pass(3_600_000).told(), []);
  });

  it("ends with llmux, while room is made for it", () => {
    const stage = new SchedulerOnStage({ models, devices: [{ id: "0", memoryBytes: 80 * GIB }] }).bringUp("b", 1);
    stage.request("b", 2).request("a", 3).wakeFailed("a", "out_of_memory").stopped("a").told();
    stage.shutdown();
    assert.deepEqual(stage.told(), ["refuse 3 shutting_down"]);
    stage.release(2).stopped("b");
    assert.deepEqual(stage.told(), ["stop b", "finished"]);
  });
});
