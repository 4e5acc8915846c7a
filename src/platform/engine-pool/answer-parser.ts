/** The answers of one connection, one after the other, as they come: strict HTTP/1.1. */
import { errors } from "undici";
import { malformed, readAnswerHead, type AnswerHead } from "./answer-head.ts";
import { ChunkedBody, type BodyListener } from "./chunked.ts";
import { KnownAnswer } from "./known-answer.ts";

/** Who hears of an answer. */
export interface AnswerListener extends BodyListener {
  /** Interim answers (1xx) are told as well; the last one is the answer. */
  onHead(head: AnswerHead): void;
}

/** An answer's head may not be longer. */
const HEAD_BYTES_MAX = 64 * 1024;

const HEAD_END = Buffer.from("\r\n\r\n");
const START = Buffer.from("HTTP/1.");

type State = "head" | "length" | "chunks" | "rest" | "complete";

/**
 * Reads answers from bytes that are only lent. It stops where its listener does, and at the end of each answer.
 */
export class AnswerParser {
  readonly #chunks: ChunkedBody;
  readonly #listener: AnswerListener;
  #state: State = "complete";
  #isToHead = false;
  #bytesLeft = 0;
  /** How long the connection may be kept after this answer, in ms. */
  keptMs = 0;
  /** The head as far as it has come, where it has not come at once. */
  #partial: Buffer | null = null;
  #partialBytes = 0;
  #lastHead: KnownAnswer | null = null;

  constructor(listener: AnswerListener) {
    this.#listener = listener;
    this.#chunks = new ChunkedBody(listener);
  }

  /** Whether the answer is told whole. */
  get isComplete(): boolean {
    return this.#state === "complete";
  }

  /** A request has been sent; `isToHead`: by HEAD, so its answer has no body. */
  begin(isToHead: boolean): void {
    this.#state = "head";
    this.#isToHead = isToHead;
    this.#partial = null;
    this.#partialBytes = 0;
    this.keptMs = 0;
  }

  /**
   * Reads from `from` to `to`, or to where the listener is stopped or the answer ends; returns where that is.
   * Throws `HTTPParserError`, or `HeadersOverflowError`.
   */
  read(bytes: Buffer, from: number, to: number): number {
    let at = from;
    while (at < to && this.#state !== "complete" && !this.#listener.isStopped) {
      if (this.#state === "head") at = this.#readHead(bytes, at, to);
      else if (this.#state === "chunks") at = this.#readChunks(bytes, at, to);
      else at = this.#readPlain(bytes, at, to);
    }
    return at;
  }

  /** The connection has ended. Returns whether that is the end of the answer. */
  end(): boolean {
    if (this.#state === "rest") this.#state = "complete";
    return this.#state === "complete";
  }

  #readHead(bytes: Buffer, from: number, to: number): number {
    if (this.#partial !== null) return this.#readPartialHead(this.#partial, bytes, from, to);
    const last = this.#isToHead ? null : this.#lastHead;
    const known = last?.recognise(bytes, from, to) ?? null;
    if (last !== null && known !== null) {
      this.#begin(known);
      return from + last.bytes;
    }
    const end = bytes.indexOf(HEAD_END, from);
    // Behind `to` are the bytes of other reads.
    if (end === -1 || end + HEAD_END.length > to) return this.#keepPart(bytes, from, to);
    this.#onHead(bytes.toString("latin1", from, end));
    return end + HEAD_END.length;
  }

  #keepPart(bytes: Buffer, from: number, to: number): number {
    const partial = Buffer.allocUnsafe(Math.max(1_024, 2 * (to - from)));
    partial.set(bytes.subarray(from, to));
    this.#partial = partial;
    this.#partialBytes = to - from;
    this.#checkPart(partial);
    return to;
  }

  #readPartialHead(before: Buffer, bytes: Buffer, from: number, to: number): number {
    const had = this.#partialBytes;
    const has = had + to - from;
    const partial = has <= before.length ? before : Buffer.concat([before.subarray(0, had)], 2 * has);
    partial.set(bytes.subarray(from, to), had);
    const end = partial.subarray(0, has).indexOf(HEAD_END, Math.max(0, had - HEAD_END.length + 1));
    if (end === -1) {
      this.#partial = partial;
      this.#partialBytes = has;
      this.#checkPart(partial);
      return to;
    }
    this.#partial = null;
    this.#partialBytes = 0;
    this.#onHead(partial.toString("latin1", 0, end));
    return from + end + HEAD_END.length - had;
  }

  /** What is no HTTP from its first byte on, or too much, is not waited for. */
  #checkPart(partial: Buffer): void {
    const known = Math.min(START.length, this.#partialBytes);
    if (partial.compare(START, 0, known, 0, known) !== 0) throw malformed("it does not begin with HTTP/1.");
    if (this.#partialBytes > HEAD_BYTES_MAX) throw new errors.HeadersOverflowError();
  }

  #onHead(text: string): void {
    if (text.length > HEAD_BYTES_MAX) throw new errors.HeadersOverflowError();
    const head = readAnswerHead(text, this.#isToHead);
    if (head.status === 101) throw new errors.SocketError("bad upgrade");
    if (!this.#isToHead) this.#lastHead = KnownAnswer.of(text, head);
    this.#begin(head);
  }

  #begin(head: AnswerHead): void {
    if (head.status >= 200) this.#enterBody(head);
    this.#listener.onHead(head);
  }

  #enterBody({ framing, keptMs }: AnswerHead): void {
    this.keptMs = keptMs;
    if (framing === "chunked") {
      this.#chunks.begin();
      this.#state = "chunks";
    } else if (framing === "to the end of the connection") this.#state = "rest";
    else {
      this.#bytesLeft = framing;
      this.#state = framing === 0 ? "complete" : "length";
    }
  }

  #readChunks(bytes: Buffer, from: number, to: number): number {
    const at = this.#chunks.read(bytes, from, to);
    if (this.#chunks.isComplete) this.#state = "complete";
    return at;
  }

  #readPlain(bytes: Buffer, from: number, to: number): number {
    let end = to;
    if (this.#state === "length") {
      end = Math.min(to, from + this.#bytesLeft);
      this.#bytesLeft -= end - from;
      if (this.#bytesLeft === 0) this.#state = "complete";
    }
    this.#listener.onData(bytes, from, end);
    return end;
  }
}
