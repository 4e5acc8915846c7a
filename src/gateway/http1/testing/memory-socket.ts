/** A connection in memory: a test plays the client of it. */
import { Duplex } from "node:stream";

/** What a server takes for its client's socket. */
export class MemorySocket extends Duplex {
  /** What the server has written, call by call. */
  readonly writes: Buffer[] = [];
  /** Whether it said that this is all. */
  hasEnded = false;
  /** While set, the client takes nothing: what is written waits. */
  isStuck = false;
  /** While set, whatever is written fails at once. */
  isBroken = false;
  /** While set, the end cannot be sent. */
  neverEnds = false;
  #waiting: ((error?: Error) => void) | null = null;

  constructor() {
    super({ allowHalfOpen: true });
  }

  /** The client sends this. */
  say(bytes: Buffer | string): void {
    this.push(typeof bytes === "string" ? Buffer.from(bytes, "latin1") : Buffer.from(bytes));
  }

  /** The client sends no more. */
  hangUp(): void {
    this.push(null);
  }

  /** All that the server has written, in Latin-1. */
  get heard(): string {
    return Buffer.concat(this.writes).toString("latin1");
  }

  /** The client takes what waits, and what comes. */
  unstick(): void {
    this.isStuck = false;
    const go = this.#waiting;
    this.#waiting = null;
    go?.();
  }

  /** What waits cannot be taken any more. */
  fail(): void {
    const go = this.#waiting;
    this.#waiting = null;
    go?.(new Error("broken pipe"));
  }

  override _read(): void {}

  override _write(piece: Buffer, _encoding: BufferEncoding, done: (error?: Error) => void): void {
    this.#take(piece, done);
  }

  override _writev(pieces: readonly { readonly chunk: Buffer }[], done: (error?: Error) => void): void {
    this.#take(Buffer.concat(pieces.map(({ chunk }) => chunk)), done);
  }

  #take(bytes: Buffer, done: (error?: Error) => void): void {
    if (this.isBroken) return done(new Error("broken pipe"));
    this.writes.push(bytes);
    if (this.isStuck) this.#waiting = done;
    else done();
  }

  override _final(done: () => void): void {
    this.hasEnded = true;
    if (!this.neverEnds) done();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    setImmediate(done, error);
  }
}
