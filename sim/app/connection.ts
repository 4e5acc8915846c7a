/** One TCP connection without a network: a duplex stream for the server, two calls for the client. */
import { Duplex } from "node:stream";
import type { Scheduled, VirtualClock } from "../../src/simulation/virtual-clock.ts";

/** What the client's end hears. None of these may act on the connection before it has returned. */
export interface ConnectionListener {
  onBytes(bytes: Buffer): void;
  /** The server sends no more; `isReset`: not in order. Called once. */
  onClosed(isReset: boolean): void;
}

/** What changes, on purpose and against the rules, what goes over one connection. Bytes are written as Latin-1. */
export interface Tampering {
  /** Of what the server has written at once. */
  readonly toClient?: (text: string, socket: ServerSocket) => string;
  readonly toServer?: (text: string) => string;
  /** Said in addition when the server ends the connection abruptly. */
  readonly lastWords?: () => string;
}

/** What the two systems' buffers hold while the client does not read, in bytes. */
export const WINDOW_BYTES = 64 * 1024;

/** The server's end: enough of a `net.Socket` for Node's HTTP server. */
export class ServerSocket extends Duplex {
  readonly remoteAddress = "127.0.0.1";
  readonly #clock: VirtualClock;
  readonly #client: ConnectionListener;
  readonly #tampering: Tampering | null;
  readonly #unread: Buffer[] = [];
  #unreadBytes = 0;
  #isReading = true;
  /** The write that waits for room, or the end that waits for all to be read. */
  #waiting: (() => void) | null = null;
  #isClosedToClient = false;
  #isCut = false;
  #timeout: Scheduled | null = null;

  constructor(clock: VirtualClock, client: ConnectionListener, tampering: Tampering | null = null) {
    super({ allowHalfOpen: true });
    this.#tampering = tampering;
    this.#clock = clock;
    this.#client = client;
  }

  // ── the client's side ─────────────────────────────────────────────────────────────────────────────────────────────

  /** True while the client can send. */
  get isOpen(): boolean {
    return !this.destroyed && !this.#isCut && !this.#isClosedToClient;
  }

  /** The client sends. */
  send(bytes: Buffer | string): void {
    if (this.destroyed || this.#isCut) return;
    const sent = typeof bytes === "string" ? Buffer.from(bytes) : bytes;
    const { toServer } = this.#tampering ?? {};
    this.push(toServer === undefined ? sent : Buffer.from(toServer(sent.toString("latin1")), "latin1"));
  }

  /** Whether the client reads. */
  get isReading(): boolean {
    return this.#isReading;
  }

  /** The client goes: it closes in order, or its system resets the connection. It hears nothing any more. */
  leave(inOrder: boolean): void {
    if (this.#isCut) return;
    this.#isCut = true;
    this.#isClosedToClient = true;
    if (this.destroyed) return;
    if (inOrder) this.push(null);
    // What arrives at a closed end is answered by a reset; what is written into a reset connection goes nowhere.
    else this.destroy(Object.assign(new Error("read ECONNRESET"), { code: "ECONNRESET" }));
  }

  /** The client stops reading, or goes on. */
  setReading(isReading: boolean): void {
    this.#isReading = isReading;
    if (!isReading) return;
    for (const bytes of this.#unread.splice(0)) this.#deliver(bytes);
    this.#unreadBytes = 0;
    const waiting = this.#waiting;
    this.#waiting = null;
    waiting?.();
  }

  /** The server's process is gone: nothing of its side happens any more. */
  sever(): void {
    this.#isCut = true;
    this.#timeout = cancelled(this.#timeout);
    this.#tellClosed(true);
  }

  #deliver(bytes: Buffer): void {
    if (!this.#isClosedToClient) this.#client.onBytes(bytes);
  }

  #tellClosed(isReset: boolean): void {
    if (this.#isClosedToClient) return;
    this.#isClosedToClient = true;
    this.#client.onClosed(isReset);
  }

  // ── the server's side ─────────────────────────────────────────────────────────────────────────────────────────────

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: Done): void {
    this.#send(chunk, done);
  }

  override _writev(chunks: readonly { readonly chunk: Buffer }[], done: Done): void {
    this.#send(Buffer.concat(chunks.map(({ chunk }) => chunk)), done);
  }

  #send(written: Buffer, done: Done): void {
    const { toClient } = this.#tampering ?? {};
    const chunk = toClient === undefined ? written : Buffer.from(toClient(written.toString("latin1"), this), "latin1");
    if (this.#isCut) {
      // Its client closed in order and went: the next thing that comes from there is a reset.
      this.#clock.after(0, () => this.destroy(Object.assign(new Error("write EPIPE"), { code: "EPIPE" })));
      return done();
    }
    if (this.#isReading) {
      this.#deliver(chunk);
      return done();
    }
    this.#unread.push(chunk);
    this.#unreadBytes += chunk.length;
    if (this.#unreadBytes <= WINDOW_BYTES) done();
    else this.#waiting = () => done();
    return undefined;
  }

  override _final(done: (error?: Error | null) => void): void {
    if (this.#unread.length === 0) this.#tellClosed(false);
    else this.#waiting = () => this.#tellClosed(false);
    // To the server the end is sent once it is in the system's hands.
    done();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#timeout = cancelled(this.#timeout);
    const lastWords = error === null ? this.#tampering?.lastWords?.() : undefined;
    if (lastWords !== undefined) this.#deliver(Buffer.from(lastWords, "latin1"));
    // What is in the system's hands still arrives; the end of a connection that is destroyed looks like any end.
    if (this.#unread.length > 0 && error === null) this.#waiting = () => this.#tellClosed(false);
    else this.#tellClosed(error !== null);
    done(error);
  }

  destroySoon(): void {
    if (this.writable) this.end();
    if (this.writableFinished) this.destroy();
    else this.once("finish", () => this.destroy());
  }

  resetAndDestroy(): this {
    this.#tellClosed(true);
    return this.destroy();
  }

  /** In virtual time; 0 takes it back. */
  setTimeout(delayMs: number): this {
    this.#timeout = cancelled(this.#timeout);
    if (delayMs > 0) this.#timeout = this.#clock.after(delayMs, () => this.emit("timeout"));
    return this;
  }

  setNoDelay(): this {
    return this;
  }

  setKeepAlive(): this {
    return this;
  }

  ref(): this {
    return this;
  }

  unref(): this {
    return this;
  }
}

type Done = (error?: Error | null) => void;

function cancelled(timer: Scheduled | null): null {
  if (timer !== null) timer.run = null;
  return null;
}
