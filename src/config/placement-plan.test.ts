/** Where models are put, on GPUs of every kind; and what is said when they do not fit. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import * as fc from "fast-check";
import type { GpuBudget } from "./config.ts";
import { findingText } from "./finding.ts";
import { crowdedDevices, type PlannedModel, planPlacement } from "./placement-plan.ts";

const GIB = 2 ** 30;

/** What differs from a model on one GPU of its plan's choice, of a need that nobody knows. */
interface Wish extends Partial<Omit<PlannedModel, "name" | "gpuMemoryBytes">> {
  readonly needGib?: number;
}

function models(wishes: Readonly<Record<string, Wish>>): PlannedModel[] {
  return Object.entries(wishes).map(([name, wish]) => ({
    name,
    gpus: wish.gpus ?? null,
    parallelSize: wish.parallelSize ?? 1,
    gpuMemoryUtilization: wish.gpuMemoryUtilization ?? null,
    gpuMemoryBytes: wish.needGib === undefined ? null : wish.needGib * GIB,
    pinned: wish.pinned ?? false,
  }));
}

function gpus(...sizesGib: readonly number[]): GpuBudget[] {
  return sizesGib.map((gib, index) => ({ id: String(index), memoryBytes: gib * GIB }));
}

/** Each model's GPUs and its need in GiB. */
function placed(wishes: Readonly<Record<string, Wish>>, on: readonly GpuBudget[] | null) {
  const { placements } = planPlacement(models(wishes), on);
  return Object.fromEntries(
    placements.map(({ model, devices, needBytes }) => [
      model,
      `${devices.join(",")}: ${needBytes === null ? "?" : needBytes / GIB}`,
    ]),
  );
}

function said(wishes: Readonly<Record<string, Wish>>, on: readonly GpuBudget[] | null): readonly string[] {
  return planPlacement(models(wishes), on).findings.map((finding) => `${finding.severity}: ${findingText(finding)}`);
}

describe("a plan without known GPUs", () => {
  it("has all models on one GPU where none is named", () => {
    assert.deepEqual(placed({ a: {}, b: { needGib: 20, parallelSize: 2 } }, null), { a: "0: ?", b: "0: 20" });
    assert.deepEqual(planPlacement(models({ a: {} }), null).devices, [{ id: "0", memoryBytes: null }]);
  });

  it("has a model that names none on all that others name", () => {
    const wishes = { a: { gpus: [3, 1], gpuMemoryUtilization: 0.5 }, b: {}, c: { gpus: [2] } };
    assert.deepEqual(placed(wishes, null), { a: "3,1: ?", b: "1,2,3: ?", c: "2: ?" });
  });

  it("refuses to pin a model where others would wait for it forever", () => {
    assert.deepEqual(said({ a: { pinned: true } }, null), []);
    assert.deepEqual(said({ a: { pinned: true, gpus: [0] }, b: { gpus: [1] } }, null), []);
    assert.deepEqual(said({ a: { pinned: true, needGib: 1 }, b: { needGib: 1 } }, null), [
      "error: models.b: expected a GPU without pinned models, found that a is pinned on GPU 0, " +
        "whose memory is not known, so that it can never be awake; write the key gpus, with the size of each GPU",
    ]);
    assert.deepEqual(said({ a: { pinned: true }, b: { pinned: true } }, null), [
      "error: models.b.pin: expected pinned models that fit together on GPU 0, found a and b, " +
        "and the memory of the GPU is not known; write the key gpus, with the size of each GPU",
    ]);
  });
});

describe("a plan for known GPUs", () => {
  it("takes a need from gpu_memory, else from the engine's share of the smallest of its GPUs, else none", () => {
    const wishes = {
      a: { needGib: 20, gpuMemoryUtilization: 0.25 },
      b: { gpuMemoryUtilization: 0.5, gpus: [0, 1], parallelSize: 2 },
      c: {},
    };
    const needs = Object.values(placed(wishes, gpus(80, 40))).map((text) => text.split(": ")[1]);
    assert.deepEqual(needs, ["20", "20", "?"]);
  });

  it("puts each model where most memory is unclaimed, the largest first, in the order of the file if equal", () => {
    assert.deepEqual(placed({ a: { needGib: 10 }, b: { needGib: 10 }, c: { needGib: 70 } }, gpus(80, 80)), {
      a: "1: 10",
      b: "1: 10",
      c: "0: 70",
    });
    const equal = { a: { needGib: 72 }, b: { needGib: 72 }, c: { needGib: 72 }, d: { needGib: 72 } };
    assert.deepEqual(placed(equal, gpus(80, 80)), { a: "0: 72", b: "1: 72", c: "0: 72", d: "1: 72" });
  });

  it("counts a need that is not known as a whole GPU", () => {
    assert.deepEqual(placed({ a: { needGib: 10 }, b: {}, c: { needGib: 60 } }, gpus(80, 80)), {
      a: "1: 10",
      b: "0: ?",
      c: "1: 60",
    });
  });

  it("gives a parallel model several GPUs, and leaves out those that are too small for it", () => {
    const wishes = { a: { parallelSize: 2, needGib: 30 }, b: { needGib: 10 } };
    assert.deepEqual(placed(wishes, gpus(40, 24, 40)), { a: "0,2: 30", b: "1: 10" });
    assert.deepEqual(said(wishes, gpus(40, 24, 40)), []);
  });

  it("keeps models on the GPUs that they name, in the order they name them, and others away from what they claim", () => {
    const wishes = { a: {}, b: { gpus: [1, 0], parallelSize: 2, needGib: 40 }, c: { gpus: [2], needGib: 10 } };
    assert.deepEqual(placed(wishes, gpus(80, 80, 80)), { a: "2: ?", b: "1,0: 40", c: "2: 10" });
  });

  it("puts pinned models first, and others where they can be awake beside them", () => {
    const wishes = { a: { needGib: 60 }, b: { needGib: 30, pinned: true }, c: { needGib: 60 }, d: { needGib: 40 } };
    assert.deepEqual(placed(wishes, gpus(80, 80)), { a: "1: 60", b: "0: 30", c: "1: 60", d: "0: 40" });
    assert.deepEqual(said(wishes, gpus(80, 80)), []);
  });

  it("is the same for GPUs in any order, and goes by their ids", () => {
    const [first, second] = gpus(80, 80);
    assert.ok(first !== undefined && second !== undefined);
    const ten = { id: "10", memoryBytes: 80 * GIB };
    const wishes = { a: {}, b: {}, c: {} };
    assert.deepEqual(placed(wishes, [ten, second, first]), { a: "0: ?", b: "1: ?", c: "10: ?" });
  });

  it("warns where the engine will take something else than gpu_memory says", () => {
    const taken = { gpuMemoryUtilization: 0.9 };
    assert.deepEqual(said({ a: { ...taken, needGib: 20 } }, gpus(80)), [
      "warning: models.a.gpu_memory: expected about 72 GiB, which the engine takes of GPU 0 (80 GiB) by --gpu-memory-utilization 0.9, found 20 GiB",
    ]);
    assert.deepEqual(said({ a: { ...taken, needGib: 70 } }, gpus(80)), []);
    assert.deepEqual(said({ a: { ...taken, needGib: 79 } }, gpus(80)), []);
  });

  it("warns where a pinned model may be measured to leave no room", () => {
    assert.deepEqual(said({ a: { pinned: true }, b: { needGib: 10 }, c: { needGib: 10 } }, gpus(80)), [
      "warning: models.a.gpu_memory: expected a size, since it is pinned on GPU 0, which b and c use too, found none: " +
        "if it is measured to leave no room, nobody else there can ever be awake",
    ]);
    assert.deepEqual(said({ a: { pinned: true } }, gpus(80)), []);
  });

  for (const [what, wishes, on, ...expected] of [
    [
      "a model that needs more than its GPU has",
      { a: { gpus: [1], needGib: 30 } },
      gpus(80, 24),
      "models.a.gpu_memory: expected a need that fits on GPU 1 (24 GiB), found 30 GiB",
    ],
    [
      "a model that needs more than any GPU has",
      { a: { needGib: 30 } },
      gpus(24, 16),
      "models.a.gpu_memory: expected a need that fits on one of GPU 0 (24 GiB), GPU 1 (16 GiB), found 30 GiB",
    ],
    [
      "a parallel model that finds only one GPU large enough",
      { a: { needGib: 30, parallelSize: 2 } },
      gpus(80, 24, 16),
      "models.a.gpu_memory: expected a need that fits on 2 of GPU 0 (80 GiB), GPU 1 (24 GiB), GPU 2 (16 GiB), found 30 GiB",
    ],
    [
      "a GPU that is not there",
      { a: { gpus: [0, 7], parallelSize: 2, pinned: true, needGib: 20 }, b: { gpus: [7] } },
      gpus(24, 24, 24),
      "models.a.gpus[1]: expected GPU 0, 1 or 2, found 7: there is no such GPU",
      "models.b.gpus[0]: expected GPU 0, 1 or 2, found 7: there is no such GPU",
    ],
    [
      "more parallelism than GPUs",
      { a: { parallelSize: 4 } },
      gpus(24, 24),
      "models.a.extra_args: expected parallelism over at most 2 GPUs, found that it asks for 4 (tensor × pipeline × data parallelism); there are GPU 0 and 1",
    ],
    [
      "pinned models that do not fit together",
      { a: { needGib: 20, pinned: true, gpus: [0] }, b: { needGib: 10, pinned: true, gpus: [0] } },
      gpus(24, 24),
      "models.b.pin: expected pinned models that fit together on GPU 0 (24 GiB), found a 20 GiB, b 10 GiB: 30 GiB",
    ],
    [
      "pinned models of which one could never be measured",
      { a: { needGib: 20, pinned: true }, b: { pinned: true } },
      gpus(24),
      "models.b.gpu_memory: expected a size, since a is pinned on GPU 0, where it is too, found none, nor --gpu-memory-utilization in extra_args",
    ],
    [
      "a model that can never be awake beside a pinned one",
      { a: { needGib: 20, pinned: true }, b: { needGib: 5 }, c: { needGib: 4 } },
      gpus(24),
      "models.b: expected room beside a, pinned on GPU 0, found 4 GiB left of 24 GiB and a need of 5 GiB: it can never be awake",
    ],
    [
      "a model that could never be measured beside a pinned one",
      { a: { needGib: 10, pinned: true }, b: {} },
      gpus(24),
      "models.b.gpu_memory: expected a size, since a is pinned on GPU 0, where it is too, found none, nor --gpu-memory-utilization in extra_args",
    ],
    [
      "a parallel model that a pinned one keeps from one of its GPUs",
      { a: { needGib: 20, pinned: true }, b: { needGib: 20, parallelSize: 2 } },
      gpus(24, 24),
      "models.b: expected room beside a, pinned on GPU 0, found 4 GiB left of 24 GiB and a need of 20 GiB: it can never be awake",
    ],
  ] as const) {
    it(`is refused for ${what}`, () => {
      assert.deepEqual(
        said(wishes, on),
        expected.map((sentence) => `error: ${sentence}`),
      );
    });
  }
});

describe("the GPUs on which models may have to leave", () => {
  it("are those with more models than fit, and those of which that is not known", () => {
    const wishes = {
      a: { gpus: [0], needGib: 40 },
      b: { gpus: [0], needGib: 40 },
      c: { gpus: [1], needGib: 41 },
      d: { gpus: [1], needGib: 40 },
      e: { gpus: [2] },
      f: { gpus: [3], needGib: 1 },
      g: { gpus: [3] },
    };
    assert.deepEqual([...crowdedDevices(planPlacement(models(wishes), gpus(80, 80, 80, 80)))], ["1", "3"]);
    assert.deepEqual([...crowdedDevices(planPlacement(models({ a: {} }), null))], []);
    assert.deepEqual([...crowdedDevices(planPlacement(models({ a: {}, b: {} }), null))], ["0"]);
  });
});

describe("any plan", () => {
  const wish = fc.record(
    {
      needGib: fc.integer({ min: 1, max: 100 }),
      gpuMemoryUtilization: fc.constantFrom(0.1, 0.5, 0.9),
      gpus: fc.uniqueArray(fc.nat(4), { minLength: 1, maxLength: 3 }),
      parallelSize: fc.integer({ min: 1, max: 4 }),
      pinned: fc.boolean(),
    },
    { requiredKeys: [] },
  );
  const wishes = fc.dictionary(fc.constantFrom("a", "b", "c", "d", "e", "f"), wish, { minKeys: 1 });
  const sizes = fc.option(fc.array(fc.integer({ min: 1, max: 100 }), { minLength: 1, maxLength: 5 }), { nil: null });

  it("has every model on GPUs that there are, and on as many as it asks for, or says what is wrong", () => {
    fc.assert(
      fc.property(wishes, sizes, (which, sizesGib) => {
        const all = models(which);
        const plan = planPlacement(all, sizesGib === null ? null : gpus(...sizesGib));
        assert.deepEqual(
          plan.placements.map(({ model }) => model),
          all.map(({ name }) => name),
        );
        const wrong = new Set(plan.findings.filter(({ severity }) => severity === "error").map(({ path }) => path[1]));
        const there = new Map(plan.devices.map(({ id, memoryBytes }) => [id, memoryBytes]));
        for (const [index, { model, devices, needBytes }] of plan.placements.entries()) {
          const asked = all[index];
          assert.ok(devices.length > 0 && new Set(devices).size === devices.length);
          if (wrong.has(model)) continue;
          for (const id of devices) {
            const memoryBytes = there.get(id);
            assert.ok(memoryBytes !== undefined && (needBytes ?? 0) <= (memoryBytes ?? Number.POSITIVE_INFINITY));
          }
          if (asked?.gpus === null && sizesGib !== null) assert.equal(devices.length, asked.parallelSize);
        }
      }),
    );
  });

  it("that nothing is wrong with has room for all pinned models together, and for each other one beside them", () => {
    fc.assert(
      fc.property(wishes, sizes, (which, sizesGib) => {
        const plan = planPlacement(models(which), sizesGib === null ? null : gpus(...sizesGib));
        fc.pre(plan.findings.every(({ severity }) => severity === "warning"));
        for (const { id, memoryBytes } of plan.devices) {
          const there = plan.placements.filter(({ devices }) => devices.includes(id));
          const pins = there.filter(({ model }) => which[model]?.pinned === true);
          const pinnedBytes = pins.reduce((sum, { needBytes }) => sum + (needBytes ?? 0), 0);
          const others = there.filter((placement) => !pins.includes(placement));
          const largest = Math.max(0, ...others.map(({ needBytes }) => needBytes ?? 0));
          if (memoryBytes === null) assert.ok(pins.length === 0 || there.length === 1);
          else if (pins.length > 0) assert.ok(pinnedBytes + largest <= memoryBytes);
        }
      }),
    );
  });
});
