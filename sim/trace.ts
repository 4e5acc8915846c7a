/** What happened in a run, as a fingerprint and, if wanted, as lines to read. */
import { scramble } from "../src/simulation/random.ts";

/** Two runs are the same when their fingerprints are. */
export class Trace {
  /** Null unless lines are wanted. */
  readonly lines: string[] | null;
  #low = 1;
  #high = 2;
  static readonly #codes = new Map<string, number>();

  constructor(options: { readonly keepLines: boolean }) {
    this.lines = options.keepLines ? [] : null;
  }

  /** `what` from a small fixed vocabulary; `id` a waiter, a lease or some other number. */
  note(atMs: number, what: string, model: string, id: number): void {
    this.#mix(Math.floor(atMs * 1024));
    this.#mix(Trace.#code(what));
    this.#mix(Trace.#code(model));
    this.#mix(id);
    this.lines?.push(`${(atMs / 1000).toFixed(3).padStart(10)} s  ${what} ${model}${id === 0 ? "" : ` #${id}`}`);
  }

  /** 16 hexadecimal digits. */
  get fingerprint(): string {
    return this.#high.toString(16).padStart(8, "0") + this.#low.toString(16).padStart(8, "0");
  }

  #mix(value: number): void {
    this.#low = scramble(this.#low ^ value);
    this.#high = scramble(this.#high ^ this.#low ^ Math.floor(value / 2 ** 32));
  }

  static #code(text: string): number {
    let code = Trace.#codes.get(text);
    if (code === undefined) {
      code = 7;
      for (let i = 0; i < text.length; i += 1) code = scramble(code ^ text.charCodeAt(i));
      Trace.#codes.set(text, code);
    }
    return code;
  }
}
