/** What bounded wait says of each candidate, and what it promises. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { array, assert as check, constantFrom, integer, property, record } from "fast-check";
import type { BoundTerms, Candidate } from "../policy.ts";
import { awake, candidate, NOW_MS } from "../testing/candidates.ts";
import { boundedWait } from "./bounded-wait.ts";

const POLICY = boundedWait({ targetWaitMs: 25_000, maxWaitMs: 120_000, forcedCreditMaxMs: 20_000 });

function keptBy(...candidates: Candidate[]): Record<string, string | null> {
  const verdicts = POLICY.explain?.({ nowMs: NOW_MS, candidates }) ?? [];
  return Object.fromEntries(verdicts.map((verdict) => [verdict.model, verdict.keptBy]));
}

describe("what bounded wait says of a candidate", () => {
  it("is what was weighed", () => {
    const many = candidate("many", { count: 12, oldestS: 8.1 });
    const one = candidate("one", { count: 1, oldestS: 2 });
    assert.deepEqual(
      POLICY.explain?.({ nowMs: NOW_MS, candidates: [one, many] }).map(({ model, weighed }) => [model, weighed]),
      [
        [
          "many",
          "12 wait, the oldest for 8.1 s; the switch costs 2.0 s and its visit lasts about 5.0 s: worth 2.2 requests a second",
        ],
        [
          "one",
          "1 waits, the oldest for 2.0 s; the switch costs 2.0 s and its visit lasts about 5.0 s: worth 0.15 requests a second",
        ],
      ],
    );
  });

  it("is what is in its way", () => {
    const obstacle = "device 0 is switching to c";
    assert.deepEqual(keptBy(candidate("b", { count: 1, oldestS: 1 }, { obstacle })), { b: obstacle });
    const overdue = candidate("overdue", { count: 1, oldestS: 130 }, { devices: ["0", "1"], obstacle });
    assert.deepEqual(keptBy(overdue, candidate("b", { count: 9, oldestS: 1 }, { devices: ["1"] })), {
      overdue: obstacle,
      b: "overdue is overdue and comes first",
    });
  });

  it("is for how long those who are awake may stay", () => {
    const early = { victims: [awake("a", 4, 4)] };
    assert.deepEqual(keptBy(candidate("b", { count: 9, oldestS: 1 }, early)), {
      b: "a is in use and may stay for another 2.0 s",
    });
    const two = { victims: [awake("a", 4, 4), awake("c", 1, 1)] };
    assert.deepEqual(keptBy(candidate("b", { count: 9, oldestS: 1 }, two)), {
      b: "a and c are in use and may stay for another 5.0 s",
    });
    const overdue = candidate("b", { count: 1, oldestS: 130 }, { victims: [awake("a", 1.5, 4)] });
    assert.deepEqual(keptBy(overdue), { b: "a is in use and may stay for another 0.5 s" });
  });

  it("is how much more would have to wait, and when it may force a switch", () => {
    const half = "1 wait for it, and more than half of the 4 that a must do would have to";
    assert.deepEqual(keptBy(candidate("b", { count: 1, oldestS: 3 })), {
      b: `${half}; in 20.0 s it may force a switch`,
    });
    assert.deepEqual(keptBy(candidate("b", { count: 1, oldestS: 30 }, { forcedCreditMs: 1000 })), {
      b: `${half}; it may force a switch when there is credit of 4.0 s (there is 1.0 s)`,
    });
  });

  it("is who comes first on its devices", () => {
    const dear = candidate("dear", { count: 50, oldestS: 1 }, { switchCostMs: 10_000 });
    assert.deepEqual(keptBy(dear, candidate("cheap", { count: 3, oldestS: 1 })), {
      dear: "a is in use and may stay for another 15.0 s",
      cheap: "dear is worth more and comes first",
    });
    const older = candidate("older", { count: 1, oldestS: 90 }, { switchCostMs: 10_000, forcedCreditMs: 9000 });
    assert.deepEqual(keptBy(older, candidate("b", { count: 1, oldestS: 30 }, { forcedCreditMs: 9000 })), {
      older: "a is in use and may stay for another 15.0 s",
      b: "older has waited longer and comes first",
    });
  });

  it("is nothing for the one to which it goes, and for nobody when it stays", () => {
    const some = record({
      count: integer({ min: 1, max: 12 }),
      oldestS: constantFrom(1, 24, 30, 118, 130),
      forS: constantFrom(0, 1, 3, 5, 7, 20),
      load: integer({ min: 0, max: 12 }),
      costS: constantFrom(1, 2, 8),
      forcedCreditMs: constantFrom(0, 3000, 20_000),
      devices: constantFrom(["0"], ["1"], ["0", "1"]),
      obstacle: constantFrom(null, null, null, "device 0 is switching to z"),
    });
    check(
      property(array(some, { minLength: 1, maxLength: 4 }), (all) => {
        const candidates = all.map(({ count, oldestS, forS, load, costS, forcedCreditMs, devices, obstacle }, index) =>
          candidate(
            `m${index}`,
            { count, oldestS },
            {
              victims: [awake(`on ${devices.join()}`, forS, load)],
              switchCostMs: costS * 1000,
              forcedCreditMs,
              devices,
              obstacle,
            },
          ),
        );
        const decision = POLICY({ nowMs: NOW_MS, candidates });
        const kept = keptBy(...candidates);
        if (decision.kind === "switch") assert.equal(kept[decision.to], null, JSON.stringify(all));
        else
          assert.ok(
            Object.values(kept).every((because) => because !== null),
            JSON.stringify([all, kept]),
          );
      }),
      { numRuns: 2000 },
    );
  });
});

describe("what bounded wait promises", () => {
  const terms: BoundTerms = {
    otherModels: 1,
    olderWaiting: 0,
    inFlightMax: 64,
    switchCostMaxMs: 3_000,
    drainMaxMs: 5_000,
    devicesMax: 1,
  };
  const bound = (changed: Partial<BoundTerms>): number | null | undefined => POLICY.boundMs?.({ ...terms, ...changed });

  it("is the maximum wait, and three turns for two models: what is under way, the other one's, and its own", () => {
    assert.equal(bound({}), 120_000 + 3 * (3_000 + 5_000 + 3_000));
  });

  it("is more by a turn for each further model, and for each batch that waits already", () => {
    assert.equal(bound({ otherModels: 4 }), 120_000 + 6 * 11_000);
    assert.equal(bound({ olderWaiting: 65 }), 120_000 + 5 * 11_000);
    assert.equal(bound({ olderWaiting: 1000, inFlightMax: Infinity }), 120_000 + 3 * 11_000);
  });

  it("is more where models take several devices", () => {
    assert.equal(bound({ devicesMax: 2 }), 120_000 + 3 * 3 * 11_000);
  });

  it("is nothing where drains have no limit", () => {
    assert.equal(bound({ drainMaxMs: null }), null);
  });
});
