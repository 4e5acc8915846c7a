/**
 * What is left to do of a request whose client has its whole answer: the lease goes back, the counts, the log and the trace get to know. The
 * client and the engine often share a processor with llmux, which they get when llmux goes to sleep. So it sleeps first.
 */
import type { Clock } from "../ports/clock.ts";

/** One request's. */
export interface LateTask {
  /** Called once. Must not throw. */
  finish(): void;
}

/** More are not put off: a client that asks without a pause leaves no time for them. */
const TASKS_MAX = 16;

/** The shortest that timers measure. */
const LATE_MS = 1;

/**
 * Nobody finds things otherwise than if each task had been done at once: whoever looks, records something, or would be refused or made to wait
 * for what a task may set free, calls `catchUp` first, and nothing is put off while others are there.
 */
export class LateWork {
  readonly #clock: Clock;
  readonly #isAwaited: () => boolean;
  #tasks: LateTask[] = [];
  #isPlanned = false;

  /** `isAwaited`: whether there is anybody now who would wait longer for it. */
  constructor(clock: Clock, isAwaited: () => boolean) {
    this.#clock = clock;
    this.#isAwaited = isAwaited;
  }

  /** How many were put off. */
  get size(): number {
    return this.#tasks.length;
  }

  /** Does it when the event loop has slept, some 1 ms from now, or at once. */
  add(task: LateTask): void {
    this.#tasks.push(task);
    if (this.#tasks.length > TASKS_MAX || this.#isAwaited()) return this.catchUp();
    if (this.#isPlanned) return;
    this.#isPlanned = true;
    this.#clock.after(LATE_MS, () => {
      this.#isPlanned = false;
      this.catchUp();
    });
  }

  /** Does now, in their order, all that were put off; cheap where there are none. */
  catchUp(): void {
    while (this.#tasks.length > 0) {
      const tasks = this.#tasks;
      this.#tasks = [];
      for (const task of tasks) task.finish();
    }
  }
}
