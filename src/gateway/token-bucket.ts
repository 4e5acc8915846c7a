/** Limits a rate: a bucket of tokens that fills evenly. One who was quiet may take all at once, and then one at a time. */
export class TokenBucket {
  /** How many tokens it holds. */
  readonly capacity: number;
  readonly #msPerToken: number;
  #tokens: number;
  #atMs: number;

  /** It is full at first; from empty, it takes `fillMs` to be full again. */
  constructor(capacity: number, fillMs: number, nowMs: number) {
    this.capacity = capacity;
    this.#msPerToken = fillMs / capacity;
    this.#tokens = capacity;
    this.#atMs = nowMs;
  }

  /** Takes a token: 0; or takes none, and says in how many ms there will be one. */
  take(nowMs: number): number {
    const filled = Math.max(0, nowMs - this.#atMs) / this.#msPerToken;
    this.#tokens = Math.min(this.capacity, this.#tokens + filled);
    this.#atMs = nowMs;
    // As much as the sum of many small fillings may lack.
    const lacking = 1 - this.#tokens;
    if (lacking > 1e-6) return lacking * this.#msPerToken;
    this.#tokens = Math.max(0, this.#tokens - 1);
    return 0;
  }
}
