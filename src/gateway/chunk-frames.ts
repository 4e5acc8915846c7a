/** Whole chunks of the chunked transfer coding, as an engine pool hands them over: `size CRLF data CRLF`, again and again. */
import { hexDigit } from "../base/http-text.ts";

/** Calls `visit` with where the data of each chunk begins and ends, in order. */
export function forEachData(frames: Buffer, visit: (from: number, to: number) => void): void {
  for (let at = 0; at < frames.length;) {
    let size = 0;
    for (let digit = hexDigit(frames[at] ?? 0); digit !== -1; digit = hexDigit(frames[at] ?? 0)) {
      size = size * 16 + digit;
      at += 1;
    }
    visit(at + 2, at + 2 + size);
    at += 2 + size + 2;
  }
}

/** What is in the chunks, without their framing. */
export function dataOf(frames: Buffer): Buffer {
  const data: Buffer[] = [];
  forEachData(frames, (from, to) => data.push(frames.subarray(from, to)));
  return Buffer.concat(data);
}
