/** What the handler of a request may have beyond undici's: headers that were read before, and chunks with their framing, to be passed on. */
import type { Dispatcher } from "undici";
import type { HeaderBlock } from "../base/header-block.ts";

/** The headers of an answer. */
export interface AnswerHeaders {
  /** Names in small letters, and values, but for the two below. The same block for answers in which they are the same, if possible. */
  readonly headers: HeaderBlock;
  /** The first one; null where there is none. */
  readonly date: string | null;
  /** Digits; null where there is none that counts. */
  readonly contentLength: string | null;
}

/** A pool that cannot do this, as undici's own, calls `onResponseStart`, and tells data only. */
export interface FramedHandler extends Dispatcher.DispatchHandler {
  /** In the place of `onResponseStart`. */
  onAnswerHead(controller: Dispatcher.DispatchController, status: number, head: AnswerHeaders): void;
  /** Asked each time that there are some. */
  readonly wantsFrames: boolean;
  /**
   * Whole chunks of the chunked transfer coding, just as they came: sizes, data, line ends, without extensions and without the
   * last (empty) chunk; `dataBytes` of it are data, whose last byte is `lastByte`; the buffer is the handler's own.
   */
  onResponseFrames(
    controller: Dispatcher.DispatchController,
    frames: Buffer,
    dataBytes: number,
    lastByte: number,
  ): void;
}
