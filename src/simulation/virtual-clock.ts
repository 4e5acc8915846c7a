/** Time that jumps from event to event. */
import { scramble } from "./random.ts";

/** Something that will happen. `run` is null once it has happened or was cancelled. */
export interface Scheduled {
  readonly atMs: number;
  readonly order: number;
  run: (() => void) | null;
}

/**
 * A heap of events by time. With a seed, events of the same time come in an order that depends on it, so that no order is taken
 * for granted; with null, in the order in which they were planned.
 */
export class VirtualClock {
  readonly #heap: Scheduled[] = [];
  readonly #seed: number | null;
  #count = 0;
  #nowMs = 0;

  constructor(seed: number | null) {
    this.#seed = seed;
  }

  get nowMs(): number {
    return this.#nowMs;
  }

  /** Runs `run` at `atMs`, or now if that is past; never before this returns. */
  at(atMs: number, run: () => void): Scheduled {
    this.#count += 1;
    const order = this.#seed === null ? this.#count : scramble(this.#seed ^ this.#count);
    const event: Scheduled = { atMs: Math.max(atMs, this.#nowMs), order, run };
    this.#heap.push(event);
    this.#rise(this.#heap.length - 1);
    return event;
  }

  after(delayMs: number, run: () => void): Scheduled {
    return this.at(this.#nowMs + delayMs, run);
  }

  /** Goes to the next event and runs it; false when there is none. */
  step(): boolean {
    for (let event = this.#pop(); event !== null; event = this.#pop()) {
      const { run } = event;
      if (run === null) continue;
      event.run = null;
      this.#nowMs = event.atMs;
      run();
      return true;
    }
    return false;
  }

  #pop(): Scheduled | null {
    const first = this.#heap[0];
    const last = this.#heap.pop();
    if (first === undefined || last === undefined) return null;
    if (first !== last) {
      this.#heap[0] = last;
      this.#sink();
    }
    return first;
  }

  #rise(from: number): void {
    const event = this.#heap[from];
    if (event === undefined) return;
    let index = from;
    while (index > 0) {
      const parentIndex = (index - 1) >> 1;
      const parent = this.#heap[parentIndex];
      if (parent === undefined || !isBefore(event, parent)) break;
      this.#heap[index] = parent;
      index = parentIndex;
    }
    this.#heap[index] = event;
  }

  #sink(): void {
    const event = this.#heap[0];
    if (event === undefined) return;
    let index = 0;
    for (;;) {
      let childIndex = 2 * index + 1;
      let child = this.#heap[childIndex];
      const right = this.#heap[childIndex + 1];
      if (child !== undefined && right !== undefined && isBefore(right, child)) {
        childIndex += 1;
        child = right;
      }
      if (child === undefined || !isBefore(child, event)) break;
      this.#heap[index] = child;
      index = childIndex;
    }
    this.#heap[index] = event;
  }
}

function isBefore(a: Scheduled, b: Scheduled): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
}
