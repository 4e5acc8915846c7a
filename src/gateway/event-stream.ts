/** What the gateway itself writes into an event stream: the error with which a broken one ends. */
import type { Failure } from "../base/failure.ts";
import { errorBody } from "./errors.ts";
import type { Dialect } from "./routes.ts";

const LINE_FEED = 10;

/** True for the content type of server-sent events, whatever its parameters. */
export function isEventStream(contentType: string | undefined): boolean {
  return contentType !== undefined && /^\s*text\/event-stream\s*(?:;|$)/i.test(contentType);
}

/**
 * The last event of a stream that breaks off after `lastByte`. It begins on a line of its own, and after a blank one, so
 * that it does not become part of an event that the engine has left unfinished.
 */
export function errorEvent(failure: Failure, dialect: Dialect, requestId: string, lastByte: number): string {
  const border = lastByte === LINE_FEED ? "\n" : "\n\n";
  const name = dialect === "anthropic" ? "event: error\n" : "";
  return `${border}${name}data: ${errorBody(failure, dialect, requestId)}\n\n`;
}
