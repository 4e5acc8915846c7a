/** Whole chunks of the chunked transfer coding, as an engine pool hands them over: `size CRLF data CRLF`, again and again. */

const CARRIAGE_RETURN = 13;

/** Calls `visit` with where the data of each chunk begins and ends, in order. */
export function forEachData(frames: Buffer, visit: (from: number, to: number) => void): void {
  for (let at = 0; at < frames.length;) {
    let size = 0;
    for (let byte = frames[at] ?? CARRIAGE_RETURN; byte !== CARRIAGE_RETURN; byte = frames[at] ?? CARRIAGE_RETURN) {
      // Digits, or letters in either case.
      size = size * 16 + (byte < 0x40 ? byte - 0x30 : (byte | 0x20) - 0x57);
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
