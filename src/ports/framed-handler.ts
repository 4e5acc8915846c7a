/** What the handler of a request may ask for beyond undici's: the chunks of an answer with their framing, to be passed on as they are. */
import type { Dispatcher } from "undici";

/** A pool that cannot do this, as undici's own, tells data only. */
export interface FramedHandler extends Dispatcher.DispatchHandler {
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
