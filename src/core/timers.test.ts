/** The heap of alarms against a plain list that does the same. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import * as fc from "fast-check";
import { Timers, type Timer } from "./timers.ts";

/** What can be done to the alarms; numbers are times, or pick one of the alarms there are. */
type Step = { readonly kind: "add" | "cancel" | "take"; readonly value: number };

const steps = fc.array(fc.record<Step>({ kind: fc.constantFrom("add", "add", "cancel", "take"), value: fc.nat(50) }), {
  maxLength: 200,
});

describe("the alarms", () => {
  it("come due in the order of their times, whatever is added and cancelled in between", () => {
    fc.assert(
      fc.property(steps, (list) => {
        const timers = new Timers();
        const model = new Set<Timer>();
        const ever: Timer[] = [];
        for (const { kind, value } of list) {
          if (kind === "add") {
            const timer = timers.add(value, () => {});
            model.add(timer);
            ever.push(timer);
          } else if (kind === "cancel") {
            const timer = ever[value % Math.max(ever.length, 1)] ?? null;
            timers.cancel(timer);
            if (timer !== null) model.delete(timer);
          } else {
            const due = [...model].filter(({ atMs }) => atMs <= value);
            const taken = timers.takeDue(value);
            assert.equal(taken === null, due.length === 0);
            if (taken === null) continue;
            assert.equal(taken.atMs, Math.min(...due.map(({ atMs }) => atMs)));
            assert.ok(model.delete(taken), "an alarm went off that was cancelled, or went off before");
          }
          const times = [...model].map(({ atMs }) => atMs);
          assert.equal(timers.size, model.size);
          assert.equal(timers.nextAtMs, times.length === 0 ? null : Math.min(...times));
        }
      }),
    );
  });

  it("are sorted when all of them are taken", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 1000 })), (times) => {
        const timers = new Timers();
        for (const atMs of times) timers.add(atMs, () => {});
        const taken: number[] = [];
        for (let timer = timers.takeDue(1000); timer !== null; timer = timers.takeDue(1000)) taken.push(timer.atMs);
        assert.deepEqual(
          taken,
          times.toSorted((a, b) => a - b),
        );
        assert.equal(timers.size, 0);
      }),
    );
  });

  it("may be cancelled after they went off, after they were cancelled, and when there are none", () => {
    const timers = new Timers();
    const timer = timers.add(1, () => {});
    const other = timers.add(2, () => {});
    assert.equal(timers.takeDue(1), timer);
    timers.cancel(timer);
    timers.cancel(other);
    timers.cancel(other);
    timers.cancel(null);
    assert.equal(timers.size, 0);
    assert.equal(timers.nextAtMs, null);
  });

  it("are not due before their time", () => {
    const timers = new Timers();
    timers.add(10, () => {});
    assert.equal(timers.takeDue(9.999), null);
    assert.equal(timers.takeDue(10)?.atMs, 10);
  });

  it("are all gone when they are cleared", () => {
    const timers = new Timers();
    const timer = timers.add(1, () => {});
    timers.clear();
    timers.cancel(timer);
    assert.equal(timers.takeDue(5), null);
  });
});
