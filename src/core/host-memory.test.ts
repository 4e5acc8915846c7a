/** Who sleeps where, when the host's memory is limited. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { SchedulerOnStage } from "./testing/scheduler-on-stage.ts";

const GIB = 1024 ** 3;

/** One of them is awake at a time; the host has room for one at level 1. "a" sleeps there and "b" is awake. */
function crowded(deviceBytes: number): SchedulerOnStage {
  const spec = { needBytes: 6 * GIB, hostBytes: 2 * GIB };
  const stage = new SchedulerOnStage({
    models: { a: spec, b: spec, c: spec },
    devices: [{ id: "0", memoryBytes: deviceBytes }],
    hostMemoryBytes: 3 * GIB,
  });
  stage.bringUp("a", 1).request("b", 2).asleep("a").awake("b").release(2);
  assert.deepEqual(stage.told(), ["sleep a 1", "start b", "grant 2"]);
  return stage;
}

describe("the host's memory", () => {
  it("makes a model that finds no room there sleep deeper", () => {
    const stage = crowded(10 * GIB).request("c", 3);
    assert.deepEqual(stage.told(), ["sleep b 2"]);
  });

  it("has room for a model again when a sleeper is stopped for another reason in the same switch", () => {
    // Beside the one that is awake there is room for one residue, and for no second.
    const stage = crowded(9 * GIB).request("c", 3);
    assert.deepEqual(stage.told(), ["stop a"]);
    stage.stopped("a");
    assert.deepEqual(stage.told(), ["sleep b 1"]);
    assert.deepEqual(stage.asleep("b").told(), ["start c"]);
  });
});
