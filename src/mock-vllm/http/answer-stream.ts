/** An answer as an event stream in OpenAI's manner: chunks, an optional usage chunk, `[DONE]`, errors as chunks. */
import { ClientGoneError } from "../decoder.ts";
import { ApiError, serverError } from "./api-errors.ts";
import type { Exchange } from "./exchange.ts";
import type { Ending, Wish } from "./generation.ts";
import { isObject } from "./request-fields.ts";

interface Shape {
  readonly onPiece: (piece: string) => void;
  readonly onEnd: (ending: Ending) => void;
  /** The last chunk, sent when `stream_options.include_usage` asks for it. */
  readonly usageChunk: (ending: Ending) => string;
}

/** Streams `pieces`. What goes wrong after the first byte is told in the stream, as the status is already out. */
export async function streamAnswer(
  exchange: Exchange,
  wish: Wish,
  pieces: AsyncGenerator<string, Ending>,
  shape: Shape,
): Promise<void> {
  exchange.beginStream();
  try {
    let next = await pieces.next();
    while (next.done !== true) {
      shape.onPiece(next.value);
      next = await pieces.next();
    }
    shape.onEnd(next.value);
    const options = wish.json["stream_options"];
    if (isObject(options) && options["include_usage"] === true) exchange.sendEvent(shape.usageChunk(next.value));
  } catch (error) {
    if (error instanceof ClientGoneError) throw error;
    const answer =
      error instanceof ApiError ? error : serverError(error instanceof Error ? error.message : String(error));
    if (exchange.logged !== undefined) exchange.services.requests.close(exchange.logged, "failed");
    exchange.sendEvent(answer.chunk);
  }
  exchange.sendEvent("[DONE]");
  exchange.endStream();
}
