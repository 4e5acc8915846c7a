/** Whose turn it is. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Candidate, Decision } from "../policy.ts";
import { fifo } from "./fifo.ts";

const candidate = (model: string, oldestEnqueuedAtMs: number, rest: Partial<Candidate> = {}): Candidate => ({
  model,
  devices: ["0"],
  waiting: 1,
  oldestEnqueuedAtMs,
  weight: 1,
  pressingWeight: 1,
  weightedEnqueuedAtMs: oldestEnqueuedAtMs,
  obstacle: null,
  victims: [],
  switchCostMs: 3000,
  switchBackCostMs: 3000,
  drainMs: 0,
  visitMs: 5000,
  forcedCreditMs: 0,
  ...rest,
});

const awake = (model: string, awakeSinceMs: number) => ({ model, awakeSinceMs, inFlight: 0, waiting: 0, load: 0 });

/** "to b", "stay", or "stay until 7". */
function decide(nowMs: number, candidates: readonly Candidate[], minActiveMs = 5000): string {
  const decision: Decision = fifo({ minActiveMs })({ nowMs, candidates });
  if (decision.kind === "switch") return `to ${decision.to}`;
  return decision.askAgainAtMs === null ? "stay" : `stay until ${decision.askAgainAtMs}`;
}

describe("fifo", () => {
  it("switches to the model whose request came first", () => {
    assert.equal(decide(100, [candidate("b", 20), candidate("c", 10), candidate("d", 30)]), "to c");
  });

  it("says why, with how many wait and for how long", () => {
    const decision = fifo({ minActiveMs: 0 })({
      nowMs: 250,
      candidates: [candidate("b", 50, { waiting: 3, victims: [awake("a", 0)] })],
    });
    assert.ok(decision.kind === "switch");
    assert.match(decision.because, /its oldest has waited longest: 200 ms \(3 in its queue\)/);
  });

  it("waits until everyone who must leave has stayed its minimum, and asks again then", () => {
    const victims = [awake("x", 1000), awake("y", 3000)];
    assert.equal(decide(7999, [candidate("b", 10, { victims })]), "stay until 8000");
    assert.equal(decide(8000, [candidate("b", 10, { victims })]), "to b");
  });

  it("has no alarm of its own for what waits for something else to end", () => {
    assert.equal(decide(100, [candidate("b", 10, { obstacle: "device 0 is switching to c" })]), "stay");
  });

  it("lets a younger one pass on another device only", () => {
    const first = candidate("wide", 10, { devices: ["0", "1"], obstacle: "device 0 is switching to c" });
    assert.equal(decide(100, [first, candidate("right", 20, { devices: ["1"] })]), "stay");
    assert.equal(decide(100, [first, candidate("else", 20, { devices: ["2"] })]), "to else");
  });

  it("keeps devices also for those who wait behind someone else", () => {
    const candidates = [
      candidate("a", 10, { devices: ["0"], obstacle: "device 0 is switching to c" }),
      candidate("wide", 20, { devices: ["0", "1"] }),
      candidate("right", 30, { devices: ["1"] }),
    ];
    assert.equal(decide(100, candidates), "stay");
  });

  it("asks again at the earliest time at which anyone can go", () => {
    const candidates = [
      candidate("a", 10, { devices: ["0"], victims: [awake("x", 2000)] }),
      candidate("b", 20, { devices: ["1"], victims: [awake("y", 1000)] }),
    ];
    assert.equal(decide(3000, candidates), "stay until 6000");
  });

  it("takes those that came at the same time in the order they are given", () => {
    assert.equal(decide(100, [candidate("b", 10), candidate("a", 10)]), "to b");
  });
});
