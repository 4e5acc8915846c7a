/** Bytes that wait for what comes behind them. */

/** Grows by doubling: what comes byte by byte is not copied again with each of them. */
export class HeldBytes {
  /** The first piece as it is; from the second on, one of our own, with room for more. */
  #buffer: Buffer;
  #length: number;

  constructor(first: Buffer) {
    this.#buffer = first;
    this.#length = first.length;
  }

  get length(): number {
    return this.#length;
  }

  /** All of them, in one piece; nothing may be added after it has been changed. */
  get bytes(): Buffer {
    return this.#buffer.subarray(0, this.#length);
  }

  add(more: Buffer): void {
    const length = this.#length + more.length;
    if (length > this.#buffer.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(length, 2 * this.#length));
      larger.set(this.bytes);
      this.#buffer = larger;
    }
    this.#buffer.set(more, this.#length);
    this.#length = length;
  }
}
