/** One client's connection: requests come one after the other, and the next one is not looked at before the last one is answered. */
import type { Duplex } from "node:stream";
import { ChunkedBody, type ChunkListener } from "./chunked-body.ts";
import { HttpRequest } from "./http-request.ts";
import { HttpResponse, type ResponseWay } from "./http-response.ts";
import { readRequestHead, type RequestHead } from "./request-head.ts";
import type { AnsweredRequest } from "./response-head.ts";

/** Why a connection is closed with an answer of its own. */
export type Refusal = "broken" | "too slow" | "headers too large" | "extensions too large";

/** What is said then. */
export interface RefusalAnswer {
  readonly status: number;
  /** A whole answer. */
  readonly bytes: string;
}

/** Times are in the looks that `look` takes at each connection: counting them costs less than asking a clock for each request. */
export interface ConnectionLimits {
  /** All headers of a request, with its first line. */
  readonly headerBytesMax: number;
  readonly headersLooks: number;
  readonly requestLooks: number;
  readonly keepAliveLooks: number;
  readonly keepAliveTimeoutMs: number;
}

/** Who takes the requests. */
export interface ConnectionHost {
  readonly limits: ConnectionLimits;
  /** How many looks there have been. */
  readonly looks: number;
  epochMs(): number;
  /** Calls `fire` in `delayMs`; the answer takes that back. */
  after(delayMs: number, fire: () => void): { cancel(): void };
  refusalOf(reason: Refusal): RefusalAnswer;
  onRequest(request: HttpRequest, response: HttpResponse): void;
  /** Whether what the request asks for is not to be answered over HTTP. */
  takesOver(head: RequestHead): boolean;
  /** From here on, the connection is the host's. `rest`: what has come behind the request. */
  onTakenOver(request: HttpRequest, rest: Buffer): void;
  /** Called once. */
  onGone(connection: HttpConnection): void;
}

const HEAD_END = Buffer.from("\r\n\r\n");

/** The beginning of a head, as far as it goes: lines without control characters, each with the right end. */
const MAY_BE_HEAD = /^[A-Z](?:[\t\x20-\x7e\x80-\xff]|\r\n)*\r?$/;

/** Line ends before a request; some old clients send one behind a body. */
const BLANK_LINES_MAX = 4;

/** What a client may send ahead while an earlier request is being answered; then it is not read for a while. */
const AHEAD_BYTES_MAX = 65_536;

/**
 * How long a client that is told off may take to read it, in ms. Closing the connection while it still sends would reset it, and the reset
 * may overtake the answer.
 */
const LINGER_MS = 1_000;

const CARRIAGE_RETURN = 13;
const LINE_FEED = 10;

/** Made for each connection that comes; lives as long. */
export class HttpConnection implements ResponseWay, ChunkListener {
  readonly socket: Duplex;
  before: HttpConnection | null = null;
  after: HttpConnection | null = null;
  readonly #host: ConnectionHost;
  /** The beginning of a head. */
  #beginning: Buffer | null = null;
  #request: HttpRequest | null = null;
  #response: HttpResponse | null = null;
  /** Of a body whose length was told, what is still to come. */
  #missingBytes = 0;
  #chunks: ChunkedBody | null = null;
  /** What came behind the request that is being answered. */
  #ahead: Buffer | null = null;
  /** The number of the look before the present wait began: for a head, for the whole of a request, for another request. */
  #waitsSince: number;
  #hasServed = false;
  #clientHasEnded = false;
  /** Nothing that comes is of interest any more. */
  #isClosing = false;

  constructor(host: ConnectionHost, socket: Duplex) {
    this.#host = host;
    this.socket = socket;
    this.#waitsSince = host.looks;
    socket.on("data", this.#onData);
    socket.on("end", this.#onEnd);
    socket.on("drain", this.#onDrain);
    socket.on("close", this.#onClose);
    socket.on("error", ignore);
  }

  /** Whether no request is being received or answered. */
  get isIdle(): boolean {
    return this.#request === null && this.#beginning === null;
  }

  destroy(): void {
    this.socket.destroy();
  }

  /** To be called after each count of `looks`. */
  look(): void {
    if (this.#isClosing) return;
    const { limits, looks } = this.#host;
    const waited = looks - this.#waitsSince;
    if (this.#request !== null) {
      if (!this.#request.isComplete && waited > limits.requestLooks) this.#refuse("too slow");
    } else if (this.#beginning !== null || !this.#hasServed) {
      if (waited > limits.headersLooks) this.#refuse("too slow");
    } else if (waited > limits.keepAliveLooks) this.socket.destroy();
  }

  // ── the socket ────────────────────────────────────────────────────────────────────────────────────────────────────

  readonly #onData = (bytes: Buffer): void => {
    if (this.#isClosing) return;
    if (this.#request === null) this.#onHeadBytes(bytes);
    else if (this.#request.isComplete) this.#putAside(bytes);
    else this.#onBodyBytes(this.#request, bytes, 0);
  };

  /** The client says nothing more. Whoever waits for an answer and has nothing to say any more has gone, as far as anybody can tell. */
  readonly #onEnd = (): void => {
    this.#clientHasEnded = true;
    if (this.#isClosing) {
      if (this.socket.writableFinished) this.socket.destroy();
    } else if (this.#request !== null && this.#response?.isEnded !== true) this.socket.destroy();
    else if (this.#request === null) this.#closeInOrder();
  };

  readonly #onDrain = (): void => {
    this.#response?.onDrain();
  };

  readonly #onClose = (): void => {
    this.#isClosing = true;
    this.#beginning = null;
    this.#ahead = null;
    const response = this.#response;
    this.#response = null;
    this.#host.onGone(this);
    response?.onConnectionClosed();
  };

  // ── a request ─────────────────────────────────────────────────────────────────────────────────────────────────────

  #onHeadBytes(news: Buffer): void {
    const bytes = this.#beginning === null ? news : Buffer.concat([this.#beginning, news]);
    if (this.#beginning === null && this.#hasServed) this.#waitsSince = this.#host.looks;
    let at = 0;
    while (bytes[at] === CARRIAGE_RETURN && bytes[at + 1] === LINE_FEED) at += 2;
    if (at > 2 * BLANK_LINES_MAX) return this.#refuse("broken");
    const end = bytes.indexOf(HEAD_END, at);
    const headerBytes = (end === -1 ? bytes.length : end) - at;
    if (headerBytes > this.#host.limits.headerBytesMax) return this.#refuse("headers too large");
    if (end === -1) return this.#keepBeginning(bytes, at);
    this.#beginning = null;
    const head = readRequestHead(bytes.toString("latin1", at, end + 2));
    if (head === null) return this.#refuse("broken");
    this.#begin(head, bytes, end + HEAD_END.length);
  }

  #keepBeginning(bytes: Buffer, at: number): void {
    const text = bytes.toString("latin1", at);
    const isLineEnd = text === "" || text === "\r";
    if (!isLineEnd && !MAY_BE_HEAD.test(text)) return this.#refuse("broken");
    this.#beginning = bytes;
  }

  #begin(head: RequestHead, bytes: Buffer, bodyAt: number): void {
    const request = new HttpRequest(head, this.socket);
    if (head.upgrade !== null && head.bodyBytes === 0 && this.#host.takesOver(head)) {
      return this.#handOver(request, bytes.subarray(bodyAt));
    }
    const response = new HttpResponse(this);
    this.#request = request;
    this.#response = response;
    this.#missingBytes = head.bodyBytes ?? 0;
    this.#chunks = head.bodyBytes === null ? new ChunkedBody() : null;
    if (head.bodyBytes === 0) request.complete();
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
      if (progress === "broken") return this.#refuse("broken");
      if (progress === "extensions too long") return this.#refuse("extensions too large");
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
    this.#ahead = this.#ahead === null ? bytes : Buffer.concat([this.#ahead, bytes]);
    if (this.#ahead.length > AHEAD_BYTES_MAX) this.socket.pause();
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
      nowEpochMs: this.#host.epochMs(),
    };
  }

  onFinished(): void {
    const keepsAlive = this.#response?.keepsAlive === true && !this.#clientHasEnded;
    this.#response = null;
    if (this.#isClosing) return;
    if (!keepsAlive) return this.#closeInOrder();
    this.#hasServed = true;
    if (this.#request?.isComplete === true) this.#next();
  }

  #next(): void {
    this.#request = null;
    this.#waitsSince = this.#host.looks;
    const ahead = this.#ahead;
    this.#ahead = null;
    if (this.socket.isPaused()) this.socket.resume();
    if (ahead !== null) this.#onHeadBytes(ahead);
  }

  #closeInOrder(): void {
    this.#isClosing = true;
    this.socket.end();
    if (this.socket.writableFinished) this.socket.destroy();
    else this.socket.once("finish", () => this.socket.destroy());
  }

  #refuse(reason: Refusal): void {
    this.#isClosing = true;
    this.#beginning = null;
    this.#ahead = null;
    const { socket } = this;
    // With the head of one answer on the wire, a second one would become part of its body.
    if (!socket.writable || this.#response?.hasHead === true) return void socket.destroy();
    const { status, bytes } = this.#host.refusalOf(reason);
    if (this.#request !== null) this.#request.brokenStatus = status;
    this.#response?.block();
    socket.resume();
    socket.end(bytes);
    const timer = this.#host.after(LINGER_MS, () => socket.destroy());
    socket.once("close", () => timer.cancel());
    socket.once("finish", () => {
      if (this.#clientHasEnded) socket.destroy();
    });
  }
}

function ignore(): void {}
