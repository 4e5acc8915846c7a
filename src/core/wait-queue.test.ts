/** The queue against a plain list that does the same. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import * as fc from "fast-check";
import { newWaiter, WaitQueue, type Waiter } from "./wait-queue.ts";

const steps = fc.array(
  fc.record({ kind: fc.constantFrom("push", "push", "leave", "oldest leaves"), value: fc.nat(1000) }),
  { maxLength: 200 },
);

describe("a queue", () => {
  it("keeps the order of arrival, its length and the sum of the arrival times, whoever leaves", () => {
    fc.assert(
      fc.property(steps, (list) => {
        const queue = new WaitQueue();
        const model: Waiter[] = [];
        for (const [index, { kind, value }] of list.entries()) {
          if (kind === "push") {
            const waiter = newWaiter(index, "m", value);
            queue.push(waiter);
            model.push(waiter);
          } else if (model.length > 0) {
            const [leaver] = model.splice(kind === "leave" ? value % model.length : 0, 1);
            assert.ok(leaver !== undefined);
            queue.remove(leaver);
            assert.equal(leaver.queue, null);
          }
          assert.equal(queue.length, model.length);
          assert.equal(queue.oldest, model[0] ?? null);
          assert.equal(
            queue.sumEnqueuedAtMs,
            model.reduce((sum, waiter) => sum + waiter.enqueuedAtMs, 0),
          );
          assert.deepEqual(forwards(queue), model);
        }
      }),
    );
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

/** Everyone in the queue, oldest first; the way back must be the same. */
function forwards(queue: WaitQueue): Waiter[] {
  const found: Waiter[] = [];
  for (let waiter = queue.oldest; waiter !== null; waiter = waiter.next) {
    assert.equal(waiter.previous, found.at(-1) ?? null);
    found.push(waiter);
  }
  return found;
}
