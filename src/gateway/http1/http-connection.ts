/** One client's connection: requests come one after the other, and the next one is not looked at before the last one is answered. */
import type { Duplex } from "node:stream";
import { isEndOfTurn, TurnWriter } from "../../base/turn-writer.ts";
import { ChunkedBody, type ChunkListener } from "./chunked-body.ts";
import type { ConnectionHost, Refusal } from "./connection-host.ts";
import { endGently } from "./gentle-end.ts";
import { HeldBytes } from "./held-bytes.ts";
import { HttpRequest } from "./http-request.ts";
import { HttpResponse, type ResponseWay } from "./http-response.ts";
import { KnownHead } from "./known-head.ts";
import { mayBeHead, readRequestHead, type ReadHead } from "./request-head.ts";
import type { AnsweredRequest } from "./response-head.ts";

const HEAD_END = Buffer.from("\r\n\r\n");

/** Line ends before a request; some old clients send one behind a body. */
const BLANK_LINES_MAX = 4;

/** What a client may send ahead while an earlier request is being answered; then it is not read until the next look. */
const AHEAD_BYTES_MAX = 65_536;

/**
 * Where that ends. Whether the client is still there is known only to those who read it: one that is read no more would keep its place in
 * the queue, and its engine busy, after it has gone.
 */
const AHEAD_BYTES_LIMIT = 1024 * 1024;

const LINE_FEED = 10;
const CARRIAGE_RETURN = 13;

/** Made for each connection that comes; lives as long. */
export class HttpConnection implements ResponseWay, ChunkListener {
  readonly socket: Duplex;
  readonly writer: TurnWriter;
  before: HttpConnection | null = null;
  after: HttpConnection | null = null;
  readonly #host: ConnectionHost;
  /** The beginning of a head. */
  #beginning: HeldBytes | null = null;
  /** Before it. */
  #blankLines = 0;
  /** What was read last, and is known only when it may come again: thousands of connections may wait with their first request. */
  #lastRead: { readonly text: string; readonly read: ReadHead } | null = null;
  #lastHead: KnownHead | null = null;
  #request: HttpRequest | null = null;
  #response: HttpResponse | null = null;
  /** Of a body whose length was told, what is still to come. */
  #missingBytes = 0;
  #chunks: ChunkedBody | null = null;
  /** What came behind the request that is being answered. */
  #ahead: HeldBytes | null = null;
  /** The number of the look before the present wait began: for a head, for the whole of a request, for another request. */
  #waitsSince: number;
  #hasServed = false;
  #clientHasEnded = false;
  /** Nothing that comes is of interest any more. */
  #isClosing = false;

  constructor(host: ConnectionHost, socket: Duplex) {
    this.#host = host;
    this.socket = socket;
    this.writer = new TurnWriter(socket);
    this.#waitsSince = host.looks;
    socket.on("data", this.#onData);
    socket.on("end", this.#onEnd);
    socket.on("drain", this.#onDrain);
    socket.on("close", this.#onClose);
    socket.on("error", ignore);
  }

  /** Whether no request is being received or answered, and its end has not begun. */
  get isIdle(): boolean {
    return this.#request === null && this.#beginning === null && !this.#isClosing;
  }

  /** Now. What has been said of an answer does not look like all of it. */
  destroy(): void {
    if (this.#response === null) this.socket.destroy();
    else this.#response.cut();
  }

  /** To be called after each count of `looks`. */
  look(): void {
    if (this.#isClosing) return;
    const { limits, looks } = this.#host;
    const waited = looks - this.#waitsSince;
    if (this.#request !== null) {
      if (this.#request.isComplete) this.#lookAhead();
      else if (waited > limits.requestLooks) this.#refuseBody("too slow");
    } else if (this.#beginning !== null || !this.#hasServed) {
      if (waited > limits.headersLooks) this.#refuseHead("too slow", this.#beginning?.length ?? 0);
    } else if (waited > limits.keepAliveLooks) this.socket.destroy();
  }

  // ── the socket ────────────────────────────────────────────────────────────────────────────────────────────────────

  readonly #onData = (bytes: Buffer): void => {
    if (this.#isClosing) return;
    try {
      if (this.#request === null) this.#onHeadBytes(bytes);
      else if (this.#request.isComplete) this.#putAside(bytes);
      else this.#onBodyBytes(this.#request, bytes, 0);
    } catch (error) {
      this.#onBug(error);
    }
  };

  /** The client says nothing more. Whoever waits for an answer and has nothing to say any more has gone, as far as anybody can tell. */
  readonly #onEnd = (): void => {
    this.#clientHasEnded = true;
    if (this.#isClosing) return;
    if (this.#request === null || (this.#response === null && this.#request.isComplete)) this.#closeInOrder();
    else if (this.#response?.isEnded !== true) this.destroy();
  };

  readonly #onDrain = (): void => {
    try {
      this.#response?.onDrain();
    } catch (error) {
      this.#onBug(error);
    }
  };

  readonly #onClose = (): void => {
    this.#isClosing = true;
    this.#beginning = null;
    this.#ahead = null;
    const response = this.#response;
    this.#response = null;
    this.#host.onGone(this);
    try {
      response?.onConnectionClosed();
    } catch (error) {
      this.#onBug(error);
    }
  };

  /** Whatever goes wrong with one request, the others go on. */
  #onBug(error: unknown): void {
    this.destroy();
    this.#host.onBug(error);
  }

  // ── a request ─────────────────────────────────────────────────────────────────────────────────────────────────────

  #onHeadBytes(news: Buffer): void {
    const { looks, limits } = this.#host;
    if (this.#beginning === null && this.#hasServed) this.#waitsSince = looks;
    const last = this.#beginning === null ? this.#knownHead() : null;
    if (last?.recognises(news, limits.headerBytesMax + HEAD_END.length) === true) {
      return this.#begin(last, news, last.bytes);
    }
    const known = this.#beginning?.length ?? 0;
    this.#beginning?.add(news);
    const bytes = this.#beginning?.bytes ?? news;
    if (bytes[0] === CARRIAGE_RETURN && bytes[1] === LINE_FEED) return this.#onBlankLines(bytes);
    // Its end may have begun in what was there before.
    const end = bytes.indexOf(HEAD_END, Math.max(0, known - HEAD_END.length + 1));
    if ((end === -1 ? bytes.length : end) > limits.headerBytesMax)
      return this.#refuseHead("headers too large", bytes.length);
    if (end === -1) {
      if (!mayBeHead(bytes, known)) this.#refuseHead("broken", bytes.length);
      else this.#beginning ??= new HeldBytes(bytes);
      return;
    }
    this.#beginning = null;
    const text = bytes.toString("latin1", 0, end + HEAD_END.length);
    const read = readRequestHead(text.slice(0, -2));
    if (read === null) return this.#refuseHead("broken", bytes.length);
    this.#lastRead = KnownHead.isWorthKeeping(text, read) ? { text, read } : null;
    this.#begin(read, bytes, end + HEAD_END.length);
  }

  #knownHead(): KnownHead | null {
    if (this.#lastRead !== null) this.#lastHead = KnownHead.of(this.#lastRead.text, this.#lastRead.read);
    this.#lastRead = null;
    return this.#lastHead;
  }

  #onBlankLines(bytes: Buffer): void {
    let at = 0;
    while (bytes[at] === CARRIAGE_RETURN && bytes[at + 1] === LINE_FEED) at += 2;
    this.#beginning = null;
    this.#blankLines += at / 2;
    if (this.#blankLines > BLANK_LINES_MAX) this.#refuseHead("broken", bytes.length);
    else if (at < bytes.length) this.#onHeadBytes(bytes.subarray(at));
  }

  #begin(read: ReadHead, bytes: Buffer, bodyAt: number): void {
    const { head, bodyBytes } = read;
    const request = new HttpRequest(read, this.socket);
    if (head.upgrade !== null && bodyBytes === 0 && this.#host.takesOver(head)) {
      return this.#handOver(request, bytes.subarray(bodyAt));
    }
    const response = new HttpResponse(this);
    this.#blankLines = 0;
    this.#request = request;
    this.#response = response;
    this.#missingBytes = bodyBytes ?? 0;
    this.#chunks = bodyBytes === null ? new ChunkedBody() : null;
    if (bodyBytes === 0) request.complete();
    this.#host.onRequest(request, response);
    if (!request.isComplete) return this.#onBodyBytes(request, bytes, bodyAt);
    request.tellEnd();
    if (bodyAt < bytes.length) this.#putAside(bytes.subarray(bodyAt));
  }

  #onBodyBytes(request: HttpRequest, bytes: Buffer, from: number): void {
    if (from === bytes.length || this.#isClosing) return;
    let restAt: number;
    if (this.#chunks === null) {
      restAt = Math.min(bytes.length, from + this.#missingBytes);
      this.#missingBytes -= restAt - from;
      request.feed(from === 0 && restAt === bytes.length ? bytes : bytes.subarray(from, restAt));
      if (this.#missingBytes > 0) return;
    } else {
      const progress = this.#chunks.push(bytes, from, this);
      if (progress === "broken") return this.#refuseBody("broken");
      if (progress === "extensions too long") return this.#refuseBody("extensions too large");
      if (progress === "more") return;
      restAt = this.#chunks.restAt;
      this.#chunks = null;
    }
    request.complete();
    if (restAt < bytes.length) this.#putAside(bytes.subarray(restAt));
    request.tellEnd();
    // It was answered before it had come whole.
    if (this.#response === null) this.#next();
  }

  onBodyData(data: Buffer): void {
    this.#request?.feed(data);
  }

  #putAside(bytes: Buffer): void {
    if (this.#ahead === null) this.#ahead = new HeldBytes(bytes);
    else this.#ahead.add(bytes);
    if (this.#ahead.length > AHEAD_BYTES_LIMIT) this.destroy();
    else if (this.#ahead.length > AHEAD_BYTES_MAX) this.socket.pause();
  }

  /** A little more is read from one that is not read: it may have gone. */
  #lookAhead(): void {
    if (this.#ahead !== null && this.#ahead.length > AHEAD_BYTES_MAX) this.socket.resume();
  }

  #handOver(request: HttpRequest, rest: Buffer): void {
    this.#isClosing = true;
    this.socket.off("data", this.#onData);
    this.socket.off("end", this.#onEnd);
    this.socket.off("drain", this.#onDrain);
    this.socket.off("close", this.#onClose);
    this.#host.onGone(this);
    this.#host.onTakenOver(request, rest);
  }

  // ── its answer ────────────────────────────────────────────────────────────────────────────────────────────────────

  answered(): AnsweredRequest {
    const head = this.#request?.head;
    const { limits } = this.#host;
    return {
      method: head?.method ?? "",
      httpVersion: head?.httpVersion ?? "1.1",
      keepsAlive: head?.keepsAlive === true && !this.#clientHasEnded,
      keepAliveTimeoutMs: limits.keepAliveTimeoutMs,
      clock: this.#host,
    };
  }

  onFinished(): void {
    const keepsAlive = this.#response?.keepsAlive === true && !this.#clientHasEnded;
    this.#response = null;
    if (this.#isClosing) return;
    if (!keepsAlive) return this.#closeInOrder();
    this.#hasServed = true;
    if (this.#request?.isComplete !== true) return;
    // Between two that were asked for in one packet, everybody else has a turn.
    if (this.#ahead === null || isEndOfTurn()) this.#goOn();
    else setImmediate(() => this.#goOn());
  }

  #goOn(): void {
    if (this.#isClosing) return;
    try {
      this.#next();
    } catch (error) {
      this.#onBug(error);
    }
  }

  #next(): void {
    this.#request = null;
    this.#waitsSince = this.#host.looks;
    const ahead = this.#ahead;
    this.#ahead = null;
    if (this.socket.isPaused()) this.socket.resume();
    if (ahead !== null) this.#onHeadBytes(ahead.bytes);
    if (this.#host.isEnding && this.isIdle) this.#closeInOrder();
  }

  #closeInOrder(lastBytes?: string): void {
    this.#isClosing = true;
    this.#beginning = null;
    this.#ahead = null;
    this.writer.flush();
    this.socket.end(lastBytes);
    endGently(this.socket, this.#host);
  }

  #refuseHead(reason: Refusal, headBytes: number): void {
    if (this.socket.writable) this.#closeInOrder(this.#host.refusalOf(reason, headBytes));
    else this.destroy();
  }

  #refuseBody(reason: Refusal): void {
    const response = this.#response;
    // What is wrong is the rest of a request that has its answer: the client would take another one for that of its next request.
    if (response === null) return this.#closeInOrder();
    // With the head of one answer on the wire, a second one would become part of its body.
    if (response.hasHead || !this.socket.writable) return this.destroy();
    return this.#closeInOrder(response.refusalOf(reason));
  }
}

function ignore(): void {}
