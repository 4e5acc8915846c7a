/** Writes the pieces of an answer whose length nobody knows, for less than Node takes for it. */
import type { ServerResponse } from "node:http";

/** A larger piece is not worth being copied. */
const COPIED_BYTES_MAX = 4_096;

const CARRIAGE_RETURN = 13;
const LINE_FEED = 10;

/**
 * What `response.write` does; the head must have been written. Node gives the system each piece of a chunked answer in four parts, three
 * of them strings; here a small one is one buffer.
 *
 * Node holds back what it is given to the end of the turn, and this does not: within one turn the two must not be mixed but with
 * `response.write` last.
 */
export function writeChunk(response: ServerResponse, chunk: Buffer): boolean {
  // Framed, an empty one would be the end.
  if (!response.chunkedEncoding || chunk.length === 0) return response.write(chunk);
  // It is framed here.
  response.chunkedEncoding = false;
  try {
    if (chunk.length <= COPIED_BYTES_MAX) return response.write(framed(chunk));
    response.write(`${chunk.length.toString(16)}\r\n`, "latin1");
    response.write(chunk);
    return response.write("\r\n", "latin1");
  } finally {
    response.chunkedEncoding = true;
  }
}

function framed(chunk: Buffer): Buffer {
  const length = chunk.length.toString(16);
  const whole = Buffer.allocUnsafe(length.length + chunk.length + 4);
  let at = whole.write(length, 0, "latin1");
  whole[at] = CARRIAGE_RETURN;
  whole[at + 1] = LINE_FEED;
  at += 2;
  whole.set(chunk, at);
  at += chunk.length;
  whole[at] = CARRIAGE_RETURN;
  whole[at + 1] = LINE_FEED;
  return whole;
}
