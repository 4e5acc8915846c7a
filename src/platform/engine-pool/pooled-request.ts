/** One request on its way, as its handler knows it: undici's manners, whatever the connection does. */
import { Buffer } from "node:buffer";
import type { Dispatcher } from "undici";
import type { FramedHandler } from "../../ports/framed-handler.ts";
import { headersObject, type AnswerHead } from "./answer-head.ts";
import type { AnswerListener } from "./answer-parser.ts";
import type { RequestBytes } from "./request-head.ts";

/** The connection that a request is on. */
export interface Carrier {
  /** What was held back is to be told, and reading goes on. */
  onResumed(): void;
  /** The handler has given up; the connection is to be closed before this returns. */
  onAborted(): void;
}

/**
 * Its handler hears nothing after the end, nothing while it has paused, and of one end: `onResponseEnd` or `onResponseError`. What a
 * handler throws ends its request and is told to it as an error.
 */
export class PooledRequest implements Dispatcher.DispatchController, AnswerListener {
  readonly bytes: RequestBytes;
  readonly #handler: Dispatcher.DispatchHandler;
  readonly #framed: FramedHandler | null;
  #carrier: Carrier | null = null;
  #hasStarted = false;
  #isOver = false;
  aborted = false;
  paused = false;
  reason: Error | null = null;
  rawHeaders: null = null;
  rawTrailers: null = null;

  constructor(bytes: RequestBytes, handler: Dispatcher.DispatchHandler) {
    this.bytes = bytes;
    this.#handler = handler;
    this.#framed = "onResponseFrames" in handler ? (handler as FramedHandler) : null;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  get isStopped(): boolean {
    return this.paused || this.#isOver;
  }

  get wantsFrames(): boolean {
    return this.#framed !== null && this.#framed.wantsFrames;
  }

  // ── what the handler does ─────────────────────────────────────────────────────────────────────────────────────────

  /** The connection holds what comes, as soon as something does. */
  pause(): void {
    this.paused = true;
  }

  resume(): void {
    if (!this.paused) return;
    this.paused = false;
    if (!this.#isOver) this.#carrier?.onResumed();
  }

  abort(reason: Error): void {
    if (this.#isOver) return;
    this.aborted = true;
    this.reason = reason;
    this.#isOver = true;
    this.#carrier?.onAborted();
    this.#tellError(reason);
  }

  // ── what the connection does ──────────────────────────────────────────────────────────────────────────────────────

  /** A connection is there, and nothing is written yet. False when the handler has given up. */
  start(carrier: Carrier): boolean {
    this.#hasStarted = true;
    try {
      this.#handler.onRequestStart?.(this, {});
    } catch (error) {
      this.abort(asError(error));
    }
    this.#carrier = carrier;
    return !this.#isOver;
  }

  onHead(head: AnswerHead): void {
    try {
      if (this.#framed !== null) this.#framed.onAnswerHead(this, head.status, head);
      else this.#handler.onResponseStart?.(this, head.status, headersObject(head), head.statusText);
    } catch (error) {
      this.abort(asError(error));
    }
  }

  onData(bytes: Buffer, from: number, to: number): void {
    try {
      this.#handler.onResponseData?.(this, copyOf(bytes, from, to));
    } catch (error) {
      this.abort(asError(error));
    }
  }

  onFrames(bytes: Buffer, from: number, to: number, dataBytes: number): void {
    try {
      // The last two are the line end after the data.
      this.#framed?.onResponseFrames(this, copyOf(bytes, from, to), dataBytes, bytes[to - 3] ?? 0);
    } catch (error) {
      this.abort(asError(error));
    }
  }

  onEnd(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    try {
      this.#handler.onResponseEnd?.(this, {});
    } catch (error) {
      this.#tellError(asError(error));
    }
  }

  /** The answer will not come, or not to its end. */
  onError(error: Error): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#tellError(error);
  }

  #tellError(error: Error): void {
    tellError(this.#handler, this.#hasStarted ? this : null, error);
  }
}

/** Tells a handler that its request has failed. What it throws then is nobody's to handle: it is thrown outside of all this. */
export function tellError(
  handler: Dispatcher.DispatchHandler,
  controller: Dispatcher.DispatchController | null,
  error: Error,
): void {
  try {
    // Declared to be there always, which it is not, neither here nor with undici.
    handler.onResponseError?.(controller as Dispatcher.DispatchController, error);
  } catch (bug) {
    queueMicrotask(() => {
      throw bug;
    });
  }
}

function copyOf(bytes: Buffer, from: number, to: number): Buffer {
  const copy = Buffer.allocUnsafe(to - from);
  bytes.copy(copy, 0, from, to);
  return copy;
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}
