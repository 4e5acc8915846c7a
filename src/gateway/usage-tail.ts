/** Token counts, read from the end of an answer: engines put `usage` there, and only the end is ever looked at. */

import { dataOf, forEachData } from "./chunk-frames.ts";

/** What an engine says that a request has cost. */
export interface TokenCounts {
  /** Null where the answer does not say. */
  readonly promptTokens: number | null;
  /** Null where the answer does not say and is no event stream. */
  readonly outputTokens: number | null;
}

/** Nothing is known. */
export const NO_TOKEN_COUNTS: TokenCounts = { promptTokens: null, outputTokens: null };

/** `usage` stands before the last few fields of a JSON answer, and in one of the last events of a stream. */
const TAIL_BYTES_MAX = 8 * 1024;

/** How much of the text after `"usage"` is its object. */
const USAGE_BYTES_MAX = 1024;

/** One `usage` may be null where an earlier one was not; more are not tried. */
const TRIES_MAX = 4;

const LINE_FEED = 10;
const CARRIAGE_RETURN = 13;
const USAGE = Buffer.from('"usage"');

interface Piece {
  readonly bytes: Buffer;
  /** It is whole chunks of the chunked transfer coding. */
  readonly isFramed: boolean;
}

/**
 * Keeps hold of the last three chunks, and of nothing else. A stream whose client has not asked for `usage` is counted by
 * its events: engines send one a token, and two or three more in all, so that figure is a good guess and no measurement.
 */
export class UsageTail {
  readonly #isStream: boolean;
  #last: Piece | null = null;
  #secondLast: Piece | null = null;
  #thirdLast: Piece | null = null;
  #events = 0;

  constructor(isStream: boolean) {
    this.#isStream = isStream;
  }

  /** To be called with each chunk, in order. The chunk must not change afterwards. */
  push(chunk: Buffer): void {
    this.#keep({ bytes: chunk, isFramed: false });
    if (this.#isStream) this.#events += countEvents(chunk, 0, chunk.length);
  }

  /** The same for whole chunks with their framing. */
  pushFrames(frames: Buffer): void {
    this.#keep({ bytes: frames, isFramed: true });
    if (!this.#isStream) return;
    forEachData(frames, (from, to) => {
      this.#events += countEvents(frames, from, to);
    });
  }

  #keep(piece: Piece): void {
    this.#thirdLast = this.#secondLast;
    this.#secondLast = this.#last;
    this.#last = piece;
  }

  /** To be called when the answer is over. */
  counts(): TokenCounts {
    const found = this.#last === null ? null : (readUsage(plain(this.#last)) ?? readUsage(this.#tail()));
    if (found !== null) return found;
    return { promptTokens: null, outputTokens: this.#isStream ? this.#events : null };
  }

  #tail(): Buffer {
    const chunks = [this.#thirdLast, this.#secondLast, this.#last].filter((chunk) => chunk !== null);
    return Buffer.concat(chunks.map((chunk) => plain(chunk).subarray(-TAIL_BYTES_MAX)));
  }
}

function plain({ bytes, isFramed }: Piece): Buffer {
  return isFramed ? dataOf(bytes) : bytes;
}

/** Blank lines end events. One that is cut in the middle of its end is missed. */
function countEvents(bytes: Buffer, from: number, to: number): number {
  let count = 0;
  // Most end with their only event: then there is nothing more to search.
  for (let at = from; at < to - 1;) {
    const end = bytes.indexOf(LINE_FEED, at);
    if (end === -1 || end >= to - 1) break;
    const next = bytes[end + 1];
    const isBlank = next === LINE_FEED || (next === CARRIAGE_RETURN && bytes[end + 2] === LINE_FEED);
    if (isBlank) count += 1;
    at = end + (isBlank ? 2 : 1);
  }
  return count;
}

/** Inside of a JSON string the quotes would be escaped, so what is found is a key. */
function readUsage(whole: Buffer): TokenCounts | null {
  const tail = whole.subarray(-TAIL_BYTES_MAX);
  let at = tail.length;
  for (let tries = 0; tries < TRIES_MAX; tries += 1) {
    at = at <= 0 ? -1 : tail.lastIndexOf(USAGE, at - 1);
    if (at === -1) return null;
    const text = tail.subarray(at + USAGE.length, at + USAGE.length + USAGE_BYTES_MAX).toString("latin1");
    if (!/^\s*:\s*\{/.test(text)) continue;
    const promptTokens = numberAt(/"(?:prompt_tokens|input_tokens)"\s*:\s*(\d{1,12})\b/.exec(text));
    const outputTokens = numberAt(/"(?:completion_tokens|output_tokens)"\s*:\s*(\d{1,12})\b/.exec(text));
    if (promptTokens !== null || outputTokens !== null) return { promptTokens, outputTokens };
  }
  return null;
}

function numberAt(match: RegExpExecArray | null): number | null {
  return match?.[1] === undefined ? null : Number(match[1]);
}
