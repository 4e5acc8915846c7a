/** Sends the gateway's own answers, and keeps connections usable, or closes them gently, where a body was left unread. */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Clock } from "../ports/clock.ts";
import type { RequestHeaders } from "./headers.ts";

/** A whole answer. */
export interface OwnAnswer {
  readonly status: number;
  /** Names and values, flat, without the length. */
  readonly headers: readonly string[];
  readonly body: string;
}

/** To which request it is the answer. */
export interface ReplyTo {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly headers: RequestHeaders;
  /** The client sends its body only when it is told to go on. */
  readonly expectsContinue: boolean;
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
  /** The answer is out, but its connection is kept for a moment, and its client may well close it first. */
  readonly lingers: boolean;
}

/** Writes the answer. Nothing may have been written before. */
export function reply(to: ReplyTo, answer: OwnAnswer): Sent {
  const { request, response } = to;
  const bytes = Buffer.byteLength(answer.body);
  const all = [...answer.headers, "content-length", String(bytes)];
  const closes = answer.status === 413 || isUnwanted(to);
  if (closes) all.push("connection", "close");
  response.writeHead(answer.status, all);
  const lingers = closes && !request.readableEnded;
  if (lingers) {
    response.write(answer.body);
    discardThenEnd(request, response, to.clock);
  } else {
    response.end(answer.body);
  }
  return { bytes, lingers };
}

/** Whether more body may still come than is worth reading. */
function isUnwanted({ request, headers, expectsContinue }: ReplyTo): boolean {
  if (request.complete) return false;
  if (headers.isChunked) return true;
  return headers.contentLength !== null && (headers.contentLength > DISCARDED_BYTES_MAX || expectsContinue);
}

/**
 * Closing a connection while its client is still sending resets it, and the reset can overtake the answer. So the answer
 * goes out whole, the client gets a moment to read it, and only then comes the end.
 */
function discardThenEnd(request: IncomingMessage, response: ServerResponse, clock: Clock): void {
  const end = (): void => {
    timer.cancel();
    if (!response.writableEnded) response.end();
  };
  const timer = clock.after(LINGER_MS, end);
  request.once("end", end);
  request.once("close", end);
  request.resume();
}
