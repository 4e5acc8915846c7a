/** Bytes that wait for what comes behind them. */

/** Grows by doubling: what comes byte by byte is not copied again with each of them. */
export class HeldBytes {
  #buffer: Buffer;
  #length: number;
  /** The first piece is kept as it is, and may be part of something larger. */
  #isOwn = false;

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
    if (!this.#isOwn || length > this.#buffer.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(length, 2 * this.#length));
      larger.set(this.bytes);
      this.#buffer = larger;
      this.#isOwn = true;
    }
    this.#buffer.set(more, this.#length);
    this.#length = length;
  }
}
