/** Who is worth a switch, who may force one, and who must stay a while. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { array, assert as check, boolean, constantFrom, integer, nat, property, record } from "fast-check";
import type { Candidate, Decision, Holds } from "../policy.ts";
import { awake, candidate, NOW_MS } from "../testing/candidates.ts";
import { boundedWait } from "./bounded-wait.ts";

function decision(candidates: readonly Candidate[]): Decision {
  return boundedWait({ targetWaitMs: 25_000, maxWaitMs: 120_000 })({ nowMs: NOW_MS, candidates });
}

function decide(...candidates: Candidate[]): string {
  const made = decision(candidates);
  return made.kind === "switch" ? made.to : "stay";
}

/** For how long a "stay" of these holds. */
function holds(...candidates: Candidate[]): Holds {
  const made = decision(candidates);
  assert.ok(made.kind === "stay" && made.holds !== undefined);
  return made.holds;
}

/** In how many seconds a "stay" is to be asked about again. */
function asksInS(...candidates: Candidate[]): number | null {
  const made = decision(candidates);
  assert.ok(made.kind === "stay");
  return made.askAgainAtMs === null ? null : (made.askAgainAtMs - NOW_MS) / 1000;
}

describe("bounded wait", () => {
  it("goes to the most valuable model when nobody is awake, or nobody uses who is", () => {
    for (const victims of [[], [awake("a", 0, 0)]]) {
      const few = candidate("few", { count: 1, oldestS: 1 }, { victims });
      const many = candidate("many", { count: 5, oldestS: 1 }, { victims });
      assert.equal(decide(few, many), "many");
    }
  });

  it("values a request more the longer it has waited", () => {
    const fresh = candidate("fresh", { count: 2, oldestS: 0 }, { victims: [] });
    assert.equal(decide(fresh, candidate("old", { count: 1, oldestS: 29 }, { victims: [] })), "fresh");
    assert.equal(decide(fresh, candidate("old", { count: 1, oldestS: 31 }, { victims: [] })), "old");
  });

  it("values a cheap switch and a short visit more", () => {
    const dear = candidate("dear", { count: 3, oldestS: 1 }, { victims: [], switchCostMs: 20_000 });
    assert.equal(decide(dear, candidate("cheap", { count: 2, oldestS: 1 }, { victims: [] })), "cheap");
    const long = candidate("long", { count: 3, oldestS: 1 }, { victims: [], visitMs: 60_000 });
    assert.equal(decide(long, candidate("short", { count: 2, oldestS: 1 }, { victims: [] })), "short");
  });

  it("leaves a model that is used once more than half of its load waits elsewhere", () => {
    assert.equal(decide(candidate("b", { count: 2, oldestS: 1 })), "stay");
    assert.equal(decide(candidate("b", { count: 3, oldestS: 1 })), "b");
    const full = [awake("a", 10, 4, 4)];
    assert.equal(decide(candidate("b", { count: 4, oldestS: 1 }, { victims: full })), "stay");
  });

  it("stays for three switch costs, however many wait", () => {
    const many = { count: 100, oldestS: 20 };
    assert.equal(decide(candidate("b", many, { victims: [awake("a", 5.9, 1)] })), "stay");
    assert.equal(decide(candidate("b", many, { victims: [awake("a", 6, 1)] })), "b");
  });

  it("forces a switch for a request past the target only while there is credit for going there and back", () => {
    const aged = { count: 1, oldestS: 23 };
    assert.equal(decide(candidate("b", aged, { forcedCreditMs: 3999 })), "stay");
    const made = decision([candidate("b", aged, { forcedCreditMs: 4000 })]);
    assert.ok(made.kind === "switch");
    assert.equal(made.forcedCostMs, 4000);
    assert.equal(decide(candidate("b", { count: 1, oldestS: 22.9 }, { forcedCreditMs: 9000 })), "stay");
  });

  it("goes to the oldest of those past the target, not to the most valuable", () => {
    const credit = { forcedCreditMs: 9000 };
    const older = candidate("older", { count: 1, oldestS: 60 }, credit);
    assert.equal(decide(candidate("many", { count: 2, oldestS: 30 }, credit), older), "older");
  });

  it("goes to a request at the bound without credit, and after one switch cost instead of three", () => {
    const overdue = { count: 1, oldestS: 118 };
    assert.equal(decide(candidate("b", overdue, { victims: [awake("a", 1.9, 64)] })), "stay");
    assert.equal(decide(candidate("b", overdue, { victims: [awake("a", 2, 64)] })), "b");
    assert.equal(decide(candidate("b", { count: 1, oldestS: 117.9 }, { victims: [awake("a", 90, 64)] })), "stay");
  });

  it("goes to the most overdue one before everything else that is worth it", () => {
    const overdue = candidate("overdue", { count: 1, oldestS: 130 });
    const more = candidate("more", { count: 1, oldestS: 140 });
    assert.equal(decide(candidate("many", { count: 50, oldestS: 100 }), overdue, more), "more");
  });

  it("does nothing against an obstacle, and lets others pass on other devices", () => {
    const blocked = candidate("b", { count: 9, oldestS: 9 }, { obstacle: "device 0 is switching to c" });
    assert.equal(decide(blocked), "stay");
    assert.equal(decide(blocked, candidate("c", { count: 9, oldestS: 1 }, { devices: ["1"] })), "c");
  });

  it("keeps devices free for an overdue model that needs several, and only for an overdue one", () => {
    const wide = { devices: ["0", "1"], obstacle: "device 0 is switching to c" };
    const right = candidate("right", { count: 9, oldestS: 1 }, { devices: ["1"], victims: [] });
    assert.equal(decide(candidate("wide", { count: 1, oldestS: 130 }, wide), right), "stay");
    assert.equal(decide(candidate("wide", { count: 1, oldestS: 30 }, wide), right), "right");
  });

  it("asks again when time alone can change the answer: when the target wait is reached, or somebody has stayed long enough", () => {
    assert.equal(asksInS(candidate("b", { count: 1, oldestS: 1 })), 22);
    assert.equal(asksInS(candidate("b", { count: 9, oldestS: 1 }, { victims: [awake("a", 4, 4)] })), 2);
    const stuck = candidate("b", { count: 9, oldestS: 1 }, { obstacle: "device 0 is switching to c" });
    assert.equal(asksInS(stuck), null, "an engine will tell");
  });

  it("lets a free model go though one that is worth more cannot, unless that one is overdue", () => {
    const wide = { devices: ["0", "1"], victims: [], obstacle: "device 0 is switching to c" };
    const right = candidate("right", { count: 1, oldestS: 1 }, { devices: ["1"], victims: [] });
    assert.equal(decide(candidate("wide", { count: 50, oldestS: 30 }, wide), right), "right");
  });

  it("asks again when a stay is over, also for a model that is not worth a switch yet", () => {
    const early = { victims: [awake("a", 1, 4)] };
    assert.equal(asksInS(candidate("b", { count: 1, oldestS: 1 }, early)), 5);
    const two = [candidate("b", { count: 1, oldestS: 1 }, early), candidate("c", { count: 1, oldestS: 1 })];
    assert.equal(asksInS(...two), 5);
    const soon = candidate("b", { count: 1, oldestS: 1 }, { victims: [awake("a", 5.9, 4)] });
    assert.equal(asksInS(soon), 0.5, "not for each of many models a moment later");
  });

  it("asks again when one that an overdue one keeps out is overdue itself: it may have waited longer", () => {
    // The switch to the big one costs more, so it is overdue earlier; and those who are awake may stay for so much longer.
    const big = candidate("big", { count: 1, oldestS: 100 }, { switchCostMs: 30_000, victims: [awake("a", 10, 4)] });
    const small = candidate("small", { count: 1, oldestS: 110 }, { victims: [awake("a", 10, 4)] });
    assert.equal(asksInS(big, small), 8);
  });

  it("asks again half a second later while only credit is missing", () => {
    const made = decision([candidate("b", { count: 1, oldestS: 30 })]);
    assert.ok(made.kind === "stay");
    assert.equal(made.askAgainAtMs, NOW_MS + 500);
  });
});

describe("how long a stay of bounded wait holds", () => {
  it("until a queue and a load have met half-way", () => {
    const b = candidate("b", { count: 2, oldestS: 1 }, { victims: [awake("a", 10, 10)] });
    assert.deepEqual(holds(b), {
      pressingWeightAtMost: 3.5,
      loadAtLeast: 7,
      keptDevices: new Set(),
      leaversMatter: false,
    });
  });

  it("until a queue weighs more than half of the lightest load, where another queue does so already", () => {
    const pairs = [
      { weight: 10, load: 40 },
      { weight: 1, load: 4 },
    ];
    const made = holds(...pairs.map((pair, index) => candidateOn(`${index}`, pair)));
    assert.equal(made.pressingWeightAtMost, 2);
    assert.equal(made.loadAtLeast, 20);
  });

  it("for ever where those who must leave have not stayed long enough: that is looked at when they have", () => {
    const { pressingWeightAtMost, loadAtLeast } = holds(
      candidate("b", { count: 2, oldestS: 1 }, { victims: [awake("a", 1, 9)] }),
    );
    assert.deepEqual([pressingWeightAtMost, loadAtLeast], [Infinity, 0]);
  });

  it("while nobody who waits is overdue, whoever leaves a queue; an overdue one keeps its devices", () => {
    const overdue = candidate("b", { count: 2, oldestS: 130 }, { victims: [awake("a", 1, 9)] });
    const { keptDevices, leaversMatter } = holds(overdue);
    assert.deepEqual(keptDevices, new Set(["0"]));
    assert.equal(leaversMatter, true);
  });

  it("so that nobody who comes or goes within it changes the answer, whoever must leave for whom", () => {
    const pair = record({ weight: integer({ min: 1, max: 30 }), load: integer({ min: 1, max: 60 }) });
    const moves = array(record({ at: nat(3), by: constantFrom(-3, -1, 1, 3), isLoad: boolean() }));
    check(
      property(array(pair, { minLength: 1, maxLength: 4 }), moves, (pairs, steps) => {
        const all = () => pairs.map((one, index) => candidateOn(`${index}`, one));
        const made = decision(all());
        if (made.kind === "switch") return;
        const { pressingWeightAtMost, loadAtLeast } = made.holds ?? { pressingWeightAtMost: 0, loadAtLeast: Infinity };
        for (const { at, by, isLoad } of steps) {
          const one = pairs[at];
          if (one === undefined) continue;
          // Only what presses more, or carries less than before, is looked at.
          const before = { ...one };
          if (isLoad) one.load = Math.max(1, one.load + by);
          else one.weight = Math.max(1, one.weight + by);
          const isAsked = isLoad
            ? one.load < before.load && one.load < loadAtLeast
            : one.weight > before.weight && one.weight > pressingWeightAtMost;
          if (isAsked) return;
          assert.equal(decide(...all()), "stay", JSON.stringify(pairs));
        }
      }),
      { numRuns: 1000 },
    );
  });
});

/** One on a device of its own, where somebody else with this load is awake. */
function candidateOn(device: string, { weight, load }: { readonly weight: number; readonly load: number }): Candidate {
  const victims = [awake(`on ${device}`, 10, load)];
  return candidate(`for ${device}`, { count: weight, oldestS: 1 }, { devices: [device], victims });
}
