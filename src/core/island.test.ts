/** Which models may have to share a device, directly or by way of others. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import * as fc from "fast-check";
import { islandsOf } from "./island.ts";
import type { ModelSpec } from "./model.ts";

const model = (id: string, ...devices: string[]): ModelSpec => ({ id, devices, sleepLevel: 1 });

function names(models: readonly ModelSpec[]): string[] {
  return islandsOf(models).map(
    ({ models: own, devices }) => `${own.map(({ id }) => id).join("+")} on ${[...devices].join("+")}`,
  );
}

describe("islands", () => {
  it("are what shares a device, also by way of a model on several", () => {
    assert.deepEqual(names([model("a", "0"), model("b", "1"), model("c", "0"), model("d", "2")]), [
      "b on 1",
      "a+c on 0",
      "d on 2",
    ]);
    assert.deepEqual(names([model("a", "0"), model("b", "1"), model("wide", "0", "1")]), ["a+b+wide on 0+1"]);
    assert.deepEqual(names([]), []);
  });

  it("have every model and every device of theirs once, share none, and cannot be divided", () => {
    const device = fc.constantFrom("0", "1", "2", "3", "4", "5");
    const devices = fc.uniqueArray(device, { minLength: 1, maxLength: 3 });
    fc.assert(
      fc.property(fc.array(devices, { maxLength: 12 }), (lists) => {
        const models = lists.map((list, index) => model(`m${index}`, ...list));
        const islands = islandsOf(models);
        assert.deepEqual(islands.flatMap(({ models: own }) => own).toSorted(byNumber), models, "every model is on one");
        const seen = new Set<string>();
        for (const { models: own, devices: ownDevices } of islands) {
          assert.deepEqual(new Set(own.flatMap((one) => one.devices)), ownDevices);
          for (const id of ownDevices) assert.ok(!seen.has(id), `device ${id} is on two islands`);
          for (const id of ownDevices) seen.add(id);
          assert.equal(reachedFrom(own).size, own.length, "each is reached from each by way of shared devices");
        }
      }),
    );
  });
});

function byNumber(a: ModelSpec, b: ModelSpec): number {
  return Number(a.id.slice(1)) - Number(b.id.slice(1));
}

/** Whom one gets to from the first of them. */
function reachedFrom(models: readonly ModelSpec[]): Set<ModelSpec> {
  const reached = new Set(models.slice(0, 1));
  for (const from of reached) {
    for (const to of models) if (to.devices.some((id) => from.devices.includes(id))) reached.add(to);
  }
  return reached;
}
