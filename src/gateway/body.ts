/** Reads a request's body whole, within a limit. */
import type { IncomingMessage } from "node:http";

/** Who wants the body. Neither is called when the client breaks off: the response's `close` tells that. */
export interface BodyReader {
  onBody(body: Buffer): void;
  /** More has come than is allowed; what else comes is thrown away. */
  onBodyTooLarge(): void;
}

/**
 * Node gives the end of a body only when its announced length, or its last chunk, has come, so `onBody` never gets less. A
 * body that stops coming is ended by the server's `requestTimeout`.
 */
export function readBody(request: IncomingMessage, bodyBytesMax: number, reader: BodyReader): void {
  let first: Buffer | null = null;
  let rest: Buffer[] | null = null;
  let bytes = 0;
  const onData = (chunk: Buffer): void => {
    bytes += chunk.length;
    if (bytes > bodyBytesMax) {
      request.off("data", onData);
      request.off("end", onEnd);
      request.resume();
      first = rest = null;
      reader.onBodyTooLarge();
    } else if (first === null) first = chunk;
    else if (rest === null) rest = [first, chunk];
    else rest.push(chunk);
  };
  const onEnd = (): void => reader.onBody(rest === null ? (first ?? NOTHING) : Buffer.concat(rest, bytes));
  request.on("data", onData);
  request.on("end", onEnd);
}

const NOTHING = Buffer.alloc(0);
