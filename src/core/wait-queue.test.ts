/** The queue against a plain list that does the same. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import * as fc from "fast-check";
import { PRIORITIES, PRIORITY_HEAD_START_MS, PRIORITY_WEIGHT } from "./priority.ts";
import { newWaiter, WaitQueue, type Waiter } from "./wait-queue.ts";

const steps = fc.array(
  fc.record({
    kind: fc.constantFrom("push", "push", "leave", "oldest leaves", "next is let in"),
    priority: fc.constantFrom(...PRIORITIES, "normal" as const),
    value: fc.nat(20_000),
  }),
  { maxLength: 200 },
);

const rankOf = ({ priority }: Waiter): number => PRIORITIES.indexOf(priority);
const weightOf = ({ priority }: Waiter): number => PRIORITY_WEIGHT[priority];

/** The first of those in the list whose time, by `of`, is least; the more urgent one if they are equal. */
function firstBy(list: readonly Waiter[], of: (waiter: Waiter) => number): Waiter | null {
  return list.toSorted((a, b) => of(a) - of(b) || rankOf(a) - rankOf(b))[0] ?? null;
}

const sum = (list: readonly Waiter[], of: (waiter: Waiter) => number): number =>
  list.reduce((total, waiter) => total + of(waiter), 0);

/** All that it tells is what the list tells. */
function assertSame(queue: WaitQueue, list: readonly Waiter[]): void {
  const pressing = list.filter(({ priority }) => priority !== "low");
  assert.equal(queue.length, list.length);
  assert.equal(
    queue.oldest,
    firstBy(list, ({ enqueuedAtMs }) => enqueuedAtMs),
  );
  assert.equal(
    queue.next,
    firstBy(list, ({ enqueuedAtMs, priority }) => enqueuedAtMs - PRIORITY_HEAD_START_MS[priority]),
  );
  assert.equal(queue.weight, sum(list, weightOf));
  assert.equal(queue.pressingWeight, sum(pressing, weightOf));
  assert.equal(
    queue.sumEnqueuedAtMs,
    sum(list, ({ enqueuedAtMs }) => enqueuedAtMs),
  );
  assert.equal(
    queue.weightedEnqueuedAtMs,
    sum(list, (waiter) => weightOf(waiter) * waiter.enqueuedAtMs),
  );
  for (const [rank, priority] of PRIORITIES.entries()) {
    const inFront = list.filter((waiter) => rankOf(waiter) <= rank);
    assert.equal(queue.countInFrontOf(priority), inFront.length);
  }
}

describe("a queue", () => {
  it("is what a list with priorities is, whoever comes and leaves", () => {
    fc.assert(
      fc.property(steps, (all) => {
        const queue = new WaitQueue();
        const list: Waiter[] = [];
        let nowMs = 0;
        for (const [index, { kind, value, priority }] of all.entries()) {
          if (kind === "push") {
            nowMs += value;
            const waiter = newWaiter(index, "m", nowMs, priority);
            queue.push(waiter);
            list.push(waiter);
          } else {
            const leaver = {
              leave: list[value % list.length],
              "oldest leaves": queue.oldest,
              "next is let in": queue.next,
            }[kind];
            if (leaver === undefined || leaver === null) continue;
            queue.remove(leaver);
            list.splice(list.indexOf(leaver), 1);
            assert.equal(leaver.queue, null);
          }
          assertSame(queue, list);
        }
      }),
    );
  });

  it("lets a high request pass those that have come less than half a minute before it, and no others", () => {
    const queue = new WaitQueue();
    const old = newWaiter(1, "m", 0);
    const young = newWaiter(2, "m", 20_000);
    const low = newWaiter(3, "m", 20_000, "low");
    const high = newWaiter(4, "m", 30_001, "high");
    for (const waiter of [old, young, low, high]) queue.push(waiter);
    const order: number[] = [];
    for (let { next } = queue; next !== null; next = queue.next) {
      order.push(next.id);
      queue.remove(next);
    }
    assert.deepEqual(order, [1, 4, 2, 3]);
  });

  it("can be left by one alone and joined again by another", () => {
    const queue = new WaitQueue();
    const first = newWaiter(1, "m", 5);
    queue.push(first);
    queue.remove(first);
    assert.equal(queue.oldest, null);
    const second = newWaiter(2, "m", 6);
    queue.push(second);
    assert.equal(queue.oldest, second);
    assert.equal(second.previous, null);
  });

  it("refuses one who is in a queue already, and one who is in another", () => {
    const queue = new WaitQueue();
    const waiter = newWaiter(1, "m", 0);
    queue.push(waiter);
    assert.throws(() => queue.push(waiter), /in a queue already/);
    assert.throws(() => new WaitQueue().remove(waiter), /not in this queue/);
  });
});
