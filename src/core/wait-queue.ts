/**
 * The requests that wait for one model: a lane for each priority, oldest first. A lane is a linked list, so that a leaver in the
 * middle costs nothing. Sums over all that wait are kept, so that a policy can weigh a queue without walking it.
 */
import { assert } from "../base/assert.ts";
import type { ModelId, Priority } from "./model.ts";
import type { WaiterId } from "./lease.ts";
import { PRIORITIES, PRIORITY_HEAD_START_MS, PRIORITY_WEIGHT } from "./priority.ts";
import type { Timer } from "./timers.ts";

/** One waiting request. */
export interface Waiter {
  readonly id: WaiterId;
  readonly model: ModelId;
  readonly enqueuedAtMs: number;
  readonly priority: Priority;
  /** The alarm at which it has waited too long. */
  deadline: Timer | null;
  previous: Waiter | null;
  next: Waiter | null;
  queue: WaitQueue | null;
}

/** Makes a waiter that is in no queue yet. */
export function newWaiter(id: WaiterId, model: ModelId, enqueuedAtMs: number, priority: Priority = "normal"): Waiter {
  return { id, model, enqueuedAtMs, priority, deadline: null, previous: null, next: null, queue: null };
}

interface Lane {
  oldest: Waiter | null;
  newest: Waiter | null;
  length: number;
  sumEnqueuedAtMs: number;
}

/** All operations take constant time. */
export class WaitQueue {
  readonly #high = newLane();
  readonly #normal = newLane();
  readonly #low = newLane();
  #length = 0;

  get length(): number {
    return this.#length;
  }

  /** Who has waited longest. */
  get oldest(): Waiter | null {
    return this.#first(NO_HEAD_START_MS);
  }

  /** Who is let in first: a priority counts like a head start, so that nobody is passed for ever. */
  get next(): Waiter | null {
    return this.#first(PRIORITY_HEAD_START_MS);
  }

  /** How many of those that wait are let in before one of this priority that comes now, at least. */
  countInFrontOf(priority: Priority): number {
    if (priority === "low") return this.#length;
    return priority === "high" ? this.#high.length : this.#high.length + this.#normal.length;
  }

  /** The sum of all enqueue times: with the length it gives the summed age of the queue at any moment. */
  get sumEnqueuedAtMs(): number {
    return this.#high.sumEnqueuedAtMs + this.#normal.sumEnqueuedAtMs + this.#low.sumEnqueuedAtMs;
  }

  /** The number of those that wait, each counted by its priority. */
  get weight(): number {
    return this.pressingWeight + this.#low.length * PRIORITY_WEIGHT.low;
  }

  /** The same without low ones: those do not press for a switch. */
  get pressingWeight(): number {
    return this.#high.length * PRIORITY_WEIGHT.high + this.#normal.length;
  }

  /** The sum of the enqueue times, each counted by its priority, in ms. */
  get weightedEnqueuedAtMs(): number {
    return (
      this.#high.sumEnqueuedAtMs * PRIORITY_WEIGHT.high +
      this.#normal.sumEnqueuedAtMs +
      this.#low.sumEnqueuedAtMs * PRIORITY_WEIGHT.low
    );
  }

  push(waiter: Waiter): void {
    assert(waiter.queue === null, () => `waiter ${waiter.id} is in a queue already`);
    const lane = this.#lane(waiter.priority);
    waiter.queue = this;
    waiter.previous = lane.newest;
    if (lane.newest === null) lane.oldest = waiter;
    else lane.newest.next = waiter;
    lane.newest = waiter;
    lane.length += 1;
    lane.sumEnqueuedAtMs += waiter.enqueuedAtMs;
    this.#length += 1;
  }

  remove(waiter: Waiter): void {
    assert(waiter.queue === this, () => `waiter ${waiter.id} is not in this queue`);
    const lane = this.#lane(waiter.priority);
    if (waiter.previous === null) lane.oldest = waiter.next;
    else waiter.previous.next = waiter.next;
    if (waiter.next === null) lane.newest = waiter.previous;
    else waiter.next.previous = waiter.previous;
    waiter.previous = waiter.next = waiter.queue = null;
    lane.length -= 1;
    // From 0 again whenever it is empty, so that the sum stays exact.
    lane.sumEnqueuedAtMs = lane.length === 0 ? 0 : lane.sumEnqueuedAtMs - waiter.enqueuedAtMs;
    this.#length -= 1;
  }

  /** Of the lanes' heads the one that came first, head starts counted; the more urgent one when they are equal. */
  #first(headStartMs: Readonly<Record<Priority, number>>): Waiter | null {
    // Most queues have one lane only.
    if (this.#length === this.#normal.length) return this.#normal.oldest;
    let first: Waiter | null = null;
    let firstAtMs = Infinity;
    for (const priority of PRIORITIES) {
      const head = this.#lane(priority).oldest;
      if (head === null) continue;
      const atMs = head.enqueuedAtMs - headStartMs[priority];
      if (atMs >= firstAtMs) continue;
      first = head;
      firstAtMs = atMs;
    }
    return first;
  }

  #lane(priority: Priority): Lane {
    if (priority === "normal") return this.#normal;
    return priority === "high" ? this.#high : this.#low;
  }
}

const NO_HEAD_START_MS: Readonly<Record<Priority, number>> = { high: 0, normal: 0, low: 0 };

function newLane(): Lane {
  return { oldest: null, newest: null, length: 0, sumEnqueuedAtMs: 0 };
}
