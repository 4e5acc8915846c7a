/** Heartbeats as clients of event streams hear them: comments, which say nothing of what the engine answers. */

const START = Buffer.from(": llmux ");
const END = "\n\n";

/** What comes in one piece: heartbeats first, if at all, and then what the engine says, or an error. */
export interface Heard {
  readonly beats: readonly string[];
  /** Empty when there were heartbeats alone. */
  readonly rest: Buffer;
}

/** Takes the heartbeats off the beginning; those that are not there to their end are none. */
export function takeHeartbeats(bytes: Buffer): Heard {
  if (bytes[0] !== START[0]) return { beats: NONE, rest: bytes };
  const beats: string[] = [];
  let from = 0;
  while (bytes.subarray(from, from + START.length).equals(START)) {
    const end = bytes.indexOf(END, from);
    if (end === -1) break;
    beats.push(bytes.subarray(from, end + END.length).toString());
    from = end + END.length;
  }
  return { beats, rest: bytes.subarray(from) };
}

const NONE: readonly string[] = [];
