/** One TCP connection to an engine, which carries one request at a time. */
import { Buffer } from "node:buffer";
import { connect, type Socket } from "node:net";
import { errors } from "undici";
import { TurnWriter } from "../../base/turn-writer.ts";
import { AnswerParser, type AnswerListener } from "./answer-parser.ts";
import type { AnswerHead } from "./answer-head.ts";
import type { Carrier, PooledRequest } from "./pooled-request.ts";

/** Where an engine listens. */
export interface EngineAddress {
  /** A name or an IP address, without brackets. */
  readonly host: string;
  readonly port: number;
}

/** Whoever has the connections. */
export interface WireOwner {
  /** It can take another request, for `keptMs` at most. Not called by a connection that is gone. */
  onIdle(wire: EngineWire, keptMs: number): void;
  /** It cannot take another request. Called once. */
  onGone(wire: EngineWire): void;
}

const CONNECT_TIMEOUT_MS = 5_000;

/** A small body is copied behind its head: one buffer is written with less ado than two. */
const COPIED_BODY_BYTES_MAX = 16 * 1024;

/** What is read lies here until its callback has returned, whichever connection it comes from. */
const READ_BUFFER = Buffer.allocUnsafeSlow(64 * 1024);

/** It is connected or connecting from its making on; a connection that has broken, or of which too much has come, is gone. */
export class EngineWire implements Carrier, AnswerListener {
  readonly #owner: WireOwner;
  readonly #socket: Socket;
  readonly #writer: TurnWriter;
  readonly #parser: AnswerParser;
  #connectTimer: NodeJS.Timeout | null;
  #request: PooledRequest | null = null;
  #isConnected = false;
  #isGone = false;
  #causeOfDeath: Error | null = null;
  #hasEnded = false;
  /** What came while its request was paused, or before that in the same read. */
  #held: Buffer | null = null;
  /** On the owner's clock; of use only while it is idle. */
  idleUntilMs = 0;

  constructor({ host, port }: EngineAddress, owner: WireOwner) {
    this.#owner = owner;
    this.#parser = new AnswerParser(this);
    const callback = (bytes: number): boolean => {
      this.#onRead(bytes);
      return true;
    };
    this.#socket = connect({ host, port, noDelay: true, onread: { buffer: READ_BUFFER, callback } });
    this.#writer = new TurnWriter(this.#socket);
    this.#connectTimer = setTimeout(() => {
      this.#break(new errors.ConnectTimeoutError(`Connect Timeout Error (${host}:${port}, ${CONNECT_TIMEOUT_MS} ms)`));
    }, CONNECT_TIMEOUT_MS);
    this.#socket.on("connect", () => this.#onConnected());
    this.#socket.on("end", () => this.#onEnded());
    this.#socket.on("error", (error) => this.#break(error));
    this.#socket.on("close", () => this.#onClosed());
  }

  /** Takes a request; one before it must have ended. */
  carry(request: PooledRequest): void {
    this.#request = request;
    if (this.#isConnected) this.#send(request);
  }

  /**
   * Closes it now. A request that waits for the connection hears of it at once, and one that is under way when the socket is closed: what
   * the destroyer has to say of the engine comes first.
   */
  destroy(error: Error): void {
    if (this.#isGone) return;
    if (!this.#isConnected || this.#request === null || this.#socket.destroyed) return this.#break(error);
    this.#causeOfDeath = error;
    this.#socket.destroy();
  }

  // ── the request ───────────────────────────────────────────────────────────────────────────────────────────────────

  #onConnected(): void {
    this.#stopConnectTimer();
    this.#isConnected = true;
    if (this.#request !== null) this.#send(this.#request);
  }

  #send(request: PooledRequest): void {
    const { start, rest, body, isHead } = request.bytes;
    if (!request.start(this)) {
      // Nothing is written, so nothing is wrong with the connection.
      this.#request = null;
      if (!this.#isGone) this.#owner.onIdle(this, Infinity);
      return;
    }
    this.#parser.begin(isHead);
    const headBytes = start.length + rest.length;
    const isCopied = body !== null && body.length <= COPIED_BODY_BYTES_MAX;
    const whole = Buffer.allocUnsafe(headBytes + (isCopied ? body.length : 0));
    start.copy(whole);
    whole.write(rest, start.length, "latin1");
    if (isCopied) body.copy(whole, headBytes);
    if (body === null || isCopied) return void this.#writer.write(whole, true);
    this.#writer.flush();
    this.#socket.cork();
    this.#socket.write(whole);
    this.#socket.write(body);
    this.#socket.uncork();
  }

  // ── what the engine sends ─────────────────────────────────────────────────────────────────────────────────────────

  #onRead(bytes: number): void {
    // Nothing was asked.
    if (this.#request === null) this.#break(new errors.SocketError("bad response"));
    else this.#read(READ_BUFFER, bytes, this.#request);
  }

  #read(bytes: Buffer, length: number, request: PooledRequest): void {
    let at = 0;
    try {
      at = this.#parser.read(bytes, 0, length);
    } catch (error) {
      this.#break(error instanceof Error ? error : new Error(String(error)));
    }
    if (request.isOver || this.#isGone) return;
    if (request.paused) this.#hold(bytes, at, length);
    else if (this.#parser.isComplete) this.#complete(request, at < length);
    else if (this.#hasEnded) this.#end(request);
  }

  /** While the request is paused, one read is held; then the socket is read no more. */
  #hold(bytes: Buffer, from: number, to: number): void {
    const more = Buffer.from(bytes.subarray(from, to));
    this.#held = this.#held === null ? more : Buffer.concat([this.#held, more]);
    this.#socket.pause();
  }

  #onEnded(): void {
    this.#hasEnded = true;
    const request = this.#request;
    if (request === null) this.#close();
    // What is held comes first.
    else if (!request.paused) this.#end(request);
  }

  #onClosed(): void {
    // It has ended in order, and what is held is still to be told.
    if (this.#hasEnded && this.#causeOfDeath === null && this.#request?.paused === true) return;
    this.#break(this.#causeOfDeath ?? new errors.SocketError("closed"));
  }

  #end(request: PooledRequest): void {
    if (this.#parser.end()) this.#complete(request, false);
    else this.#break(new errors.SocketError("other side closed"));
  }

  /** `hasMore`: something has come behind the answer that nobody has asked for. */
  #complete(request: PooledRequest, hasMore: boolean): void {
    const { keptMs } = this.#parser;
    this.#request = null;
    // An answer may come before the request is written whole; the rest of it would be taken for the next one. One that ends with its
    // connection is kept for no time.
    if (hasMore || keptMs === 0 || this.#writer.unsentBytes > 0) this.#close();
    else this.#owner.onIdle(this, keptMs);
    request.onEnd();
  }

  onHead(head: AnswerHead): void {
    this.#request?.onHead(head);
  }

  get isStopped(): boolean {
    return this.#request === null || this.#request.isStopped;
  }

  get wantsFrames(): boolean {
    return this.#request !== null && this.#request.wantsFrames;
  }

  onData(bytes: Buffer, from: number, to: number): void {
    this.#request?.onData(bytes, from, to);
  }

  onFrames(bytes: Buffer, from: number, to: number, dataBytes: number): void {
    this.#request?.onFrames(bytes, from, to, dataBytes);
  }

  // ── what the request's handler does ───────────────────────────────────────────────────────────────────────────────

  onResumed(): void {
    const request = this.#request;
    if (request === null) return;
    // In the middle of a read nothing is held, and the end has not come.
    const held = this.#held;
    this.#held = null;
    if (held !== null || this.#hasEnded) this.#read(held ?? NOTHING, held?.length ?? 0, request);
    // By now it may be the next request that is here, or none.
    if (!this.#isGone && this.#request?.paused !== true) this.#socket.resume();
  }

  onAborted(): void {
    this.#close();
  }

  // ── the end ───────────────────────────────────────────────────────────────────────────────────────────────────────

  #break(error: Error): void {
    if (this.#isGone) return;
    const request = this.#request;
    this.#close();
    request?.onError(error);
  }

  #close(): void {
    if (this.#isGone) return;
    this.#isGone = true;
    this.#request = null;
    this.#held = null;
    this.#stopConnectTimer();
    this.#socket.destroy();
    this.#owner.onGone(this);
  }

  #stopConnectTimer(): void {
    if (this.#connectTimer !== null) clearTimeout(this.#connectTimer);
    this.#connectTimer = null;
  }
}

const NOTHING = Buffer.alloc(0);
