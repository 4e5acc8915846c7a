/** The scheduler's own alarms, in one heap, so that it needs a single alarm from outside. */
import { assert } from "../base/assert.ts";

/** One alarm. `fire` runs inside the scheduler when its time has come. */
export interface Timer {
  readonly atMs: number;
  readonly fire: (nowMs: number) => void;
  /** Position in the heap; -1 once it fired or was cancelled. */
  index: number;
}

/** A binary heap by time, with removal: a cancelled alarm leaves no trace. */
export class Timers {
  readonly #heap: Timer[] = [];

  get size(): number {
    return this.#heap.length;
  }

  /** The time of the next alarm in ms, or null. */
  get nextAtMs(): number | null {
    return this.#heap[0]?.atMs ?? null;
  }

  add(atMs: number, fire: (nowMs: number) => void): Timer {
    const timer: Timer = { atMs, fire, index: this.#heap.length };
    this.#heap.push(timer);
    this.#rise(timer);
    return timer;
  }

  /** Does nothing if the alarm has fired or was cancelled before. */
  cancel(timer: Timer | null): void {
    if (timer === null || timer.index === -1) return;
    assert(this.#heap[timer.index] === timer, "a timer is not where the heap has it");
    const last = this.#heap.pop();
    const hole = timer.index;
    timer.index = -1;
    if (last === undefined || last === timer) return;
    this.#place(last, hole);
    this.#rise(last);
    this.#sink(last);
  }

  /** Takes the next alarm that is due at `nowMs`, or null. */
  takeDue(nowMs: number): Timer | null {
    const first = this.#heap[0];
    if (first === undefined || first.atMs > nowMs) return null;
    this.cancel(first);
    return first;
  }

  /** Cancels all. */
  clear(): void {
    for (const timer of this.#heap) timer.index = -1;
    this.#heap.length = 0;
  }

  #place(timer: Timer, index: number): void {
    this.#heap[index] = timer;
    timer.index = index;
  }

  #rise(timer: Timer): void {
    while (timer.index > 0) {
      const parentIndex = (timer.index - 1) >> 1;
      const parent = this.#heap[parentIndex];
      if (parent === undefined || parent.atMs <= timer.atMs) return;
      this.#place(parent, timer.index);
      this.#place(timer, parentIndex);
    }
  }

  #sink(timer: Timer): void {
    for (;;) {
      const left = this.#heap[2 * timer.index + 1];
      const right = this.#heap[2 * timer.index + 2];
      const child = right !== undefined && left !== undefined && right.atMs < left.atMs ? right : left;
      if (child === undefined || child.atMs >= timer.atMs) return;
      const childIndex = child.index;
      this.#place(child, timer.index);
      this.#place(timer, childIndex);
    }
  }
}
