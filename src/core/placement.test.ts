/** Who must leave, against all that could: nothing is over-committed, nobody leaves in vain, and nobody in use before others. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import * as fc from "fast-check";
import { Engines, type ModelRecord } from "./engines.ts";
import type { Effects } from "./effects.ts";
import type { DeviceSpec, ModelSpec } from "./model.ts";
import { isUsed, placementFor, type Placement, type PlacementView } from "./placement.ts";
import { newWaiter } from "./wait-queue.ts";

const GIB = 1024 ** 3;

interface OneModel {
  readonly devices: readonly string[];
  readonly needGib: number | null;
  readonly residueGib: number;
  readonly state: "awake" | "asleep" | "stopped";
  readonly waiting: number;
  readonly pinned: boolean;
  readonly sleepLevel: 1 | 3;
  readonly usedAtMs: number;
}

const oneModel: fc.Arbitrary<OneModel> = fc.record({
  devices: fc.constantFrom(["0"], ["0"], ["1"], ["0", "1"]),
  needGib: fc.oneof(
    { weight: 8, arbitrary: fc.integer({ min: 1, max: 60 }) },
    { weight: 1, arbitrary: fc.constant(null) },
  ),
  residueGib: fc.integer({ min: 0, max: 4 }),
  state: fc.constantFrom("awake", "awake", "asleep", "asleep", "stopped"),
  waiting: fc.constantFrom(0, 0, 1, 3),
  pinned: fc.constantFrom(false, false, false, false, true),
  sleepLevel: fc.constantFrom(1, 1, 1, 3),
  usedAtMs: fc.integer({ min: 0, max: 100_000 }),
});

const target: fc.Arbitrary<OneModel> = oneModel.map((model) => ({
  ...model,
  state: "stopped" as const,
  pinned: false,
}));
const memoryGib = fc.constantFrom(40, 60, 80, null);

/** What is on two devices, as records; the first one is to be placed. */
function stageOf(
  models: readonly OneModel[],
  memories: readonly (number | null)[],
): { engines: Engines; all: ModelRecord[] } {
  const specs = models.map(({ devices, needGib, pinned, sleepLevel, state }, index): ModelSpec => {
    return {
      id: `m${index}`,
      devices,
      sleepLevel,
      pinned,
      ...(needGib === null ? {} : { needBytes: needGib * GIB }),
      ...(state === "asleep" ? { beginsAsleepAt: 1 as const } : {}),
    };
  });
  const devices = memories.map((gib, index): DeviceSpec => {
    return { id: `${index}`, memoryBytes: gib === null ? null : gib * GIB };
  });
  const engines = new Engines(specs, devices, SILENT, 0);
  const all = models.map((model, index) => {
    const record = engines.get(`m${index}`);
    record.memory.residueBytes = model.residueGib * GIB;
    record.memory.residueIsMeasured = true;
    record.lastUsedAtMs = model.usedAtMs;
    if (model.state === "awake") {
      engines.bringUp(record, 0);
      engines.open(record, 0);
    }
    for (let id = 0; id < model.waiting; id += 1) record.queue.push(newWaiter(id, record.spec.id, 0));
    return record;
  });
  return { engines, all };
}

const SILENT: Effects = {
  start: () => undefined,
  wake: () => undefined,
  sleep: () => undefined,
  stop: () => undefined,
  grant: () => undefined,
  refuse: () => undefined,
  revoke: () => undefined,
  alarmAt: () => undefined,
  record: () => undefined,
  finished: () => undefined,
};

/** Whether the target could be awake once these have fallen asleep, or ended. */
function fits(
  asked: ModelRecord,
  away: ReadonlySet<ModelRecord>,
  ended: ReadonlySet<ModelRecord>,
  engines: Engines,
  all: readonly ModelRecord[],
): boolean {
  for (const id of asked.spec.devices) {
    const { memoryBytes } = engines.devices.get(id);
    let bytes = asked.memory.needBytes ?? 0;
    for (const record of all) {
      if (record === asked || !record.spec.devices.includes(id) || record.state.kind === "stopped") continue;
      const isAwake = record.state.kind === "awake" && !away.has(record) && !ended.has(record);
      // Where memory cannot be counted, nobody may be awake beside it.
      const isCounted = memoryBytes !== null && asked.memory.needBytes !== null && record.memory.needBytes !== null;
      if (isAwake && !isCounted) return false;
      if (isAwake) bytes += record.memory.needBytes ?? 0;
      else if (!ended.has(record) && (record.state.kind === "asleep" || record.spec.sleepLevel !== 3))
        bytes += record.memory.residueBytes;
    }
    if (memoryBytes !== null && asked.memory.needBytes !== null && bytes > memoryBytes) return false;
  }
  return true;
}

/** All subsets of the list. */
function subsets<T>(list: readonly T[]): T[][] {
  let found: T[][] = [[]];
  for (const item of list) found = found.concat(found.map((some) => some.concat(item)));
  return found;
}

function check(
  what: (scene: { asked: ModelRecord; all: readonly ModelRecord[]; engines: Engines; placement: Placement }) => void,
): void {
  fc.assert(
    fc.property(target, fc.array(oneModel, { maxLength: 6 }), memoryGib, memoryGib, (asked, others, first, second) => {
      const { engines, all } = stageOf([asked, ...others], [first, second]);
      const [record] = all;
      assert.ok(record !== undefined);
      const view: PlacementView = { engines, nowMs: 100_000, wakeCostMs: () => 3000 };
      what({ asked: record, all, engines, placement: placementFor(record, view) });
    }),
    { numRuns: 500 },
  );
}

describe("a placement", () => {
  it("never takes more memory than there is, and never makes a pinned model leave", () => {
    check(({ asked, all, engines, placement }) => {
      if (placement.kind === "impossible") return;
      const { victims, stops, ends } = placement;
      const get = (ids: readonly string[]): Set<ModelRecord> => new Set(ids.map((id) => engines.get(id)));
      assert.ok(fits(asked, get(victims), get([...stops, ...ends]), engines, all));
      for (const id of victims)
        assert.ok(engines.get(id).spec.pinned !== true && engines.get(id).state.kind === "awake");
      for (const id of stops) assert.equal(engines.get(id).state.kind, "asleep");
      for (const id of ends) assert.ok(victims.includes(id));
    });
  });

  it("is impossible only if nothing would help", () => {
    check(({ asked, all, engines, placement }) => {
      if (placement.kind === "possible") return;
      const others = all.filter((record) => record !== asked && record.spec.pinned !== true);
      const sleepers = all.filter(({ state }) => state.kind === "asleep");
      assert.ok(!fits(asked, new Set(others), new Set([...others, ...sleepers]), engines, all));
    });
  });

  it("makes nobody leave in vain", () => {
    check(({ asked, all, engines, placement }) => {
      if (placement.kind === "impossible" || placement.ends.length > 0) return;
      const moved = [...placement.victims, ...placement.stops];
      for (const one of moved) {
        const rest = new Set(moved.filter((id) => id !== one).map((id) => engines.get(id)));
        const ended = new Set([...rest].filter(({ state }) => state.kind === "asleep"));
        assert.ok(!fits(asked, rest, ended, engines, all), `${one} need not go`);
      }
    });
  });

  it("makes nobody leave who is in use if there is another choice", () => {
    check(({ asked, all, engines, placement }) => {
      if (placement.kind === "impossible") return;
      const used = placement.victims.filter((id) => isUsed(engines.get(id)));
      if (used.length === 0) return;
      const unused = all.filter((record) => {
        return record !== asked && record.state.kind !== "stopped" && !isUsed(record) && record.spec.pinned !== true;
      });
      for (const some of subsets(unused)) {
        const away = new Set(some);
        const ended = new Set(some.filter(({ state }) => state.kind === "asleep"));
        assert.ok(!fits(asked, away, ended, engines, all), `${used.join(" and ")} could stay`);
      }
    });
  });

  it("is the same for the same scene", () => {
    check(({ asked, engines, placement }) => {
      const view: PlacementView = { engines, nowMs: 100_000, wakeCostMs: () => 3000 };
      assert.deepEqual(placementFor(asked, view), placement);
    });
  });
});
