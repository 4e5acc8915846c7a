/**
 * Nobody waits though its switch could begin. A policy says for how long its answer holds, and is not asked meanwhile: whatever
 * happens, what it would say must not differ for longer than it takes until it is asked anyway.
 */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import * as fc from "fast-check";
import type { ModelId, ModelSpec, Priority } from "./model.ts";
import { boundedWait } from "./policies/bounded-wait.ts";
import { fifo } from "./policies/fifo.ts";
import type { Policy } from "./policy.ts";
import { SchedulerOnStage, type StageOptions } from "./testing/scheduler-on-stage.ts";

const GIB = 1024 ** 3;

/** Where only credit is missing, or another one's time, bounded wait looks again after so long. */
const LOOKED_AGAIN_MS = 500;

type Step =
  | { readonly kind: "request"; readonly model: number; readonly priority: Priority; readonly count: number }
  | { readonly kind: "release" | "leave"; readonly which: number; readonly count: number }
  | { readonly kind: "fail"; readonly which: number }
  /** Engines that have been told something do it in this time, unless it is none. */
  | { readonly kind: "pass"; readonly ms: number };

const priority = fc.constantFrom<Priority>("low", "normal", "normal", "high");
const which = fc.nat(1000);
const count = fc.constantFrom(1, 1, 2, 6);
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 15, arbitrary: fc.record({ kind: fc.constant("request" as const), model: fc.nat(4), priority, count }) },
  { weight: 15, arbitrary: fc.record({ kind: fc.constant("release" as const), which, count }) },
  { weight: 8, arbitrary: fc.record({ kind: fc.constant("leave" as const), which, count }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("fail" as const), which }) },
  {
    weight: 5,
    arbitrary: fc.record({ kind: fc.constant("pass" as const), ms: fc.constantFrom(0, 300, 1_000, 4_000) }),
  },
);

/** Plays a history, and looks after every step whom nothing keeps. */
class History {
  readonly #stage: SchedulerOnStage;
  readonly #models: readonly ModelId[];
  readonly #waiting = new Set<number>();
  readonly #running = new Set<number>();
  /** What engines have been told and have not answered. */
  readonly #orders = new Map<ModelId, string>();
  readonly #freeSinceMs = new Map<ModelId, number>();
  #last = 0;

  constructor(options: StageOptions) {
    this.#stage = new SchedulerOnStage(options);
    this.#models = Object.keys(options.models);
  }

  play(steps: readonly Step[]): void {
    for (const one of steps) {
      this.#do(one);
      this.#hear();
      this.#look();
    }
  }

  #do(one: Step): void {
    const stage = this.#stage;
    switch (one.kind) {
      case "request": {
        const model = this.#models[one.model % this.#models.length] ?? "";
        for (let left = one.count; left > 0; left -= 1) {
          this.#last += 1;
          this.#waiting.add(this.#last);
          stage.requestAs(one.priority, model, this.#last);
          this.#hear();
        }
        return;
      }
      case "release":
        for (const waiter of some(this.#running, one)) {
          this.#running.delete(waiter);
          stage.release(waiter);
        }
        return;
      case "leave":
        for (const waiter of some(this.#waiting, one)) {
          this.#waiting.delete(waiter);
          stage.abandon(waiter);
        }
        return;
      case "fail":
        for (const model of some(this.#orders.keys(), { ...one, count: 1 })) this.#fail(model);
        return;
      case "pass":
        stage.pass(one.ms);
        this.#hear();
        if (one.ms > 0) for (const model of this.#orders.keys()) this.#answer(model);
        return;
    }
  }

  #answer(model: ModelId): void {
    const order = this.#orders.get(model);
    this.#orders.delete(model);
    if (order === "sleep") this.#stage.asleep(model);
    else if (order === "stop") this.#stage.stopped(model);
    else this.#stage.awake(model);
  }

  #fail(model: ModelId): void {
    const order = this.#orders.get(model);
    this.#orders.delete(model);
    if (order === "sleep") this.#stage.sleepFailed(model);
    else if (order === "stop") this.#stage.stopFailed(model);
    else this.#stage.wakeFailed(model);
  }

  #hear(): void {
    for (const words of this.#stage.told()) {
      const [what = "", whom = ""] = words.split(" ");
      if (what === "grant") this.#running.add(Number(whom));
      if (what === "grant" || what === "refuse") this.#waiting.delete(Number(whom));
      // A stop makes the answer to what was told before void.
      if (["start", "wake", "sleep", "stop"].includes(what)) this.#orders.set(whom, what);
    }
  }

  #look(): void {
    const { nowMs, scheduler } = this.#stage;
    const free = scheduler.explain(nowMs).filter(({ keptBy }) => keptBy === null);
    const names = new Set(free.map(({ model }) => model));
    for (const model of this.#freeSinceMs.keys()) if (!names.has(model)) this.#freeSinceMs.delete(model);
    for (const { model } of free) {
      const sinceMs = this.#freeSinceMs.get(model) ?? nowMs;
      this.#freeSinceMs.set(model, sinceMs);
      assert.ok(nowMs - sinceMs <= LOOKED_AGAIN_MS, `nothing has kept ${model} since ${sinceMs}, and it is ${nowMs}`);
    }
  }
}

/** So many from there on. */
function some<T>(
  from: Iterable<T>,
  { which: at, count: many }: { readonly which: number; readonly count: number },
): T[] {
  const all = [...from];
  const first = at % Math.max(1, all.length);
  return all.slice(first, first + many);
}

function neverLate(policy: Policy, models: StageOptions["models"], options: Partial<StageOptions> = {}): void {
  fc.assert(
    fc.property(fc.array(step, { minLength: 50, maxLength: 200, size: "max" }), (steps) => {
      const forcedCredit = { share: 0.1, capMs: 20_000 };
      new History({ models, policy, forcedCredit, requestTimeoutMs: 100_000, ...options }).play(steps);
    }),
    { numRuns: 100 },
  );
}

const ASLEEP: Partial<ModelSpec> = { beginsAsleepAt: 1 };
const ONE_DEVICE = { a: ASLEEP, b: ASLEEP, c: { ...ASLEEP, inFlightMax: 2 } };
const LEFT = { ...ASLEEP, devices: ["0"] };
const RIGHT = { ...ASLEEP, devices: ["1"] };
const TWO_DEVICES = {
  l: LEFT,
  m: { ...LEFT, inFlightMax: 2 },
  r: RIGHT,
  s: RIGHT,
  wide: { ...ASLEEP, devices: ["0", "1"] },
};
const need = (gib: number): Partial<ModelSpec> => ({ ...ASLEEP, needBytes: gib * GIB, inFlightMax: 3 });
const SHARED = { a: need(20), b: need(30), c: need(40), d: need(60), p: { ...need(15), pinned: true } };

for (const [name, policy] of [
  ["bounded wait", boundedWait({ targetWaitMs: 25_000, maxWaitMs: 60_000, forcedCreditMaxMs: 20_000 })],
  ["bounded wait with short times", boundedWait({ targetWaitMs: 3_000, maxWaitMs: 8_000, forcedCreditMaxMs: 20_000 })],
  ["fifo", fifo({ minActiveMs: 5_000 })],
] as const) {
  describe(`under ${name} nobody waits though its switch could begin`, () => {
    it("on one device", () => neverLate(policy, ONE_DEVICE));

    it("on one device, with requests that stand still", () => {
      const models = { ...ONE_DEVICE, a: { ...ASLEEP, canSuspend: true } };
      neverLate(policy, models, { drainBudgetMs: 1_000 });
    });

    it("on two devices, with a model on both", () => neverLate(policy, TWO_DEVICES));

    it("on a device on which several are awake", () => {
      neverLate(policy, SHARED, { devices: [{ id: "0", memoryBytes: 80 * GIB }] });
    });
  });
}
