/** What the gateway itself writes into an event stream: the error with which a broken one ends. */
import type { Failure } from "../base/failure.ts";
import { errorBody } from "./errors.ts";
import type { Dialect } from "./routes.ts";

/** Every event and every comment ends with it. */
export const LINE_FEED = 10;

/** True for the content type of server-sent events, whatever its parameters. */
export function isEventStream(contentType: string | undefined): boolean {
  return contentType !== undefined && /^\s*text\/event-stream\s*(?:;|$)/i.test(contentType);
}

/** The headers of a stream that begins before its engine has said a word. */
export const STREAM_HEADERS: readonly string[] = [
  "content-type",
  "text/event-stream; charset=utf-8",
  "cache-control",
  "no-cache",
  "x-accel-buffering",
  "no",
];

/**
 * What an engine has answered instead of a stream, as the last event of the stream that its client has been promised; null if it is no
 * error object.
 */
export function errorEventOf(body: Buffer, dialect: Dialect): string | null {
  try {
    const document: unknown = JSON.parse(body.toString());
    if (typeof document !== "object" || document === null || !("error" in document)) return null;
    return event(JSON.stringify(document), dialect);
  } catch {
    return null;
  }
}

/**
 * The last event of a stream that breaks off after `lastByte`. It begins on a line of its own, and after a blank one, so
 * that it does not become part of an event that the engine has left unfinished.
 */
export function errorEvent(failure: Failure, dialect: Dialect, requestId: string, lastByte: number): string {
  const border = lastByte === LINE_FEED ? "\n" : "\n\n";
  return border + event(errorBody(failure, dialect, requestId), dialect);
}

function event(data: string, dialect: Dialect): string {
  return `${dialect === "anthropic" ? "event: error\n" : ""}data: ${data}\n\n`;
}
