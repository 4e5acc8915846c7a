/** What an engine is told to do, one thing at a time. */
import { assert } from "../base/assert.ts";

interface Operation<Name> {
  readonly name: Name;
  readonly broken: AbortController;
  readonly done: Promise<void>;
}

/** Of one engine. An operation gives exactly one answer, and one that was broken off gives none. */
export class Operations<Name extends string> {
  readonly #model: string;
  #current: Operation<Name> | null = null;

  constructor(model: string) {
    this.#model = model;
  }

  /** What is under way; null: nothing. */
  get current(): Name | null {
    return this.#current?.name ?? null;
  }

  /** `work` resolves with what is to be said when it is over. A bug in it is an unhandled rejection. */
  begin(name: Name, work: (signal: AbortSignal) => Promise<() => void>): void {
    assert(this.#current === null, `${this.#model}: ${name} while ${this.current} is under way`);
    const broken = new AbortController();
    const done = this.#carryOut(work, broken.signal);
    this.#current = { name, broken, done };
  }

  async #carryOut(work: (signal: AbortSignal) => Promise<() => void>, broken: AbortSignal): Promise<void> {
    let answer: () => void;
    try {
      answer = await work(broken);
    } catch (error) {
      if (broken.aborted) return;
      throw error;
    }
    if (broken.aborted) return;
    this.#current = null;
    answer();
  }

  /** No answer is given any more. */
  abort(): void {
    this.#current?.broken.abort();
    this.#current = null;
  }

  /** The same; resolves when the work has come to its end. */
  async breakOff(): Promise<void> {
    const current = this.#current;
    if (current === null) return;
    current.broken.abort();
    await current.done;
    this.#current = null;
  }
}

/** Of what nobody breaks off. */
export const NEVER: AbortSignal = new AbortController().signal;

/** Rejects with the signal's reason when it is aborted first. */
export async function orAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted();
  const aborted = Promise.withResolvers<never>();
  signal.addEventListener("abort", () => aborted.reject(signal.reason), { once: true });
  return Promise.race([promise, aborted.promise]);
}
