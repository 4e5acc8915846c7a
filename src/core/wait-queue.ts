/** The requests that wait for one model, oldest first: a linked list, so that a leaver in the middle costs nothing. */
import { assert } from "../base/assert.ts";
import type { ModelId } from "./model.ts";
import type { WaiterId } from "./lease.ts";
import type { Timer } from "./timers.ts";

/** One waiting request. */
export interface Waiter {
  readonly id: WaiterId;
  readonly model: ModelId;
  readonly enqueuedAtMs: number;
  /** The alarm at which it has waited too long. */
  deadline: Timer | null;
  previous: Waiter | null;
  next: Waiter | null;
  queue: WaitQueue | null;
}

/** Makes a waiter that is in no queue yet. */
export function newWaiter(id: WaiterId, model: ModelId, enqueuedAtMs: number): Waiter {
  return { id, model, enqueuedAtMs, deadline: null, previous: null, next: null, queue: null };
}

/** All operations take constant time. */
export class WaitQueue {
  #oldest: Waiter | null = null;
  #newest: Waiter | null = null;
  #length = 0;
  #sumEnqueuedAtMs = 0;

  get length(): number {
    return this.#length;
  }

  get oldest(): Waiter | null {
    return this.#oldest;
  }

  /** The sum of all enqueue times: with the length it gives the summed age of the queue at any moment. */
  get sumEnqueuedAtMs(): number {
    return this.#sumEnqueuedAtMs;
  }

  push(waiter: Waiter): void {
    assert(waiter.queue === null, `waiter ${waiter.id} is in a queue already`);
    waiter.queue = this;
    waiter.previous = this.#newest;
    if (this.#newest === null) this.#oldest = waiter;
    else this.#newest.next = waiter;
    this.#newest = waiter;
    this.#length += 1;
    this.#sumEnqueuedAtMs += waiter.enqueuedAtMs;
  }

  remove(waiter: Waiter): void {
    assert(waiter.queue === this, `waiter ${waiter.id} is not in this queue`);
    if (waiter.previous === null) this.#oldest = waiter.next;
    else waiter.previous.next = waiter.next;
    if (waiter.next === null) this.#newest = waiter.previous;
    else waiter.next.previous = waiter.previous;
    waiter.previous = waiter.next = waiter.queue = null;
    this.#length -= 1;
    this.#sumEnqueuedAtMs = this.#length === 0 ? 0 : this.#sumEnqueuedAtMs - waiter.enqueuedAtMs;
  }
}
