/** Sends the gateway's own answers, and keeps connections usable, or closes them gently, where a body was left unread. */
import type { Clock, TimerHandle } from "../ports/clock.ts";
import type { BodyTaker, HttpRequest } from "./http1/http-request.ts";
import type { HttpResponse } from "./http1/http-response.ts";

/** A whole answer. */
export interface OwnAnswer {
  readonly status: number;
  /** Names and values, flat, without the length. */
  readonly headers: readonly string[];
  readonly body: string;
}

/** To which request it is the answer. */
export interface ReplyTo {
  readonly request: HttpRequest;
  readonly response: HttpResponse;
  readonly clock: Clock;
}

/** An unread body up to this size is read and thrown away for the sake of the connection. */
const DISCARDED_BYTES_MAX = 65_536;

/** How long a client may take to notice that its body is not wanted. */
const LINGER_MS = 2_000;

/** What was sent. */
export interface Sent {
  /** The size of the body in bytes. */
  readonly bytes: number;
  /**
   * The answer is out, but its connection is kept for a moment, and its client may well close it first; to be cancelled when it does.
   * Null where the answer was ended.
   */
  readonly linger: TimerHandle | null;
}

/** Writes the answer, with `lines` before its own headers; see `PassedHeaders`. Nothing may have been written before. */
export function reply(to: ReplyTo, answer: OwnAnswer, lines = ""): Sent {
  const { request, response } = to;
  const body = Buffer.from(answer.body);
  const bytes = body.length;
  const all = [...answer.headers, "content-length", String(bytes)];
  const closes = answer.status === 413 || isUnwanted(request);
  if (closes) all.push("connection", "close");
  response.writeHead(answer.status, all, { lines, date: null, contentLength: null });
  if (closes && !request.isComplete) {
    response.write(body);
    return { bytes, linger: discardThenEnd(request, response, to.clock) };
  }
  response.end(body);
  return { bytes, linger: null };
}

/** Whether more body may still come than is worth reading. */
function isUnwanted({ isComplete, bodyBytes, head: { expectsContinue } }: HttpRequest): boolean {
  if (isComplete) return false;
  return bodyBytes === null || bodyBytes > DISCARDED_BYTES_MAX || expectsContinue;
}

/**
 * Closing a connection while its client is still sending resets it, and the reset can overtake the answer. So the answer
 * goes out whole, the client gets a moment to read it, and only then comes the end.
 */
function discardThenEnd(request: HttpRequest, response: HttpResponse, clock: Clock): TimerHandle {
  const timer = clock.after(LINGER_MS, () => response.end());
  const taker: BodyTaker = {
    onData() {},
    onEnd() {
      timer.cancel();
      response.end();
    },
  };
  request.take(taker);
  request.resume();
  return timer;
}
