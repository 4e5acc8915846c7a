/** Writes the head of an answer. */
import { STATUS_CODES } from "node:http";
import type { Clock } from "../../ports/clock.ts";

/** What is known of the connection and of the request that is answered. */
export interface AnsweredRequest {
  readonly method: string;
  readonly httpVersion: "1.0" | "1.1";
  /** Whether the connection is used again after this answer. */
  readonly keepsAlive: boolean;
  /** How long it may then lie idle, in ms. */
  readonly keepAliveTimeoutMs: number;
  /** For those that do not say when they were made. */
  readonly clock: Pick<Clock, "epochMs">;
}

/** How the client knows where the body ends. */
export type Framing = "length" | "chunked" | "to the end of the connection" | "no body";

/** A head, ready to be sent. */
export interface ResponseHead {
  /** In Latin-1, with the empty line. */
  readonly text: string;
  readonly framing: Framing;
  readonly keepsAlive: boolean;
}

/** Headers that are passed on from another answer. */
export interface PassedHeaders {
  /** As `headerLines` makes them; without those below, and without any that say what becomes of the connection. */
  readonly lines: string;
  readonly date: string | null;
  /** Digits. */
  readonly contentLength: string | null;
}

/** Any other character in the value would end the line, or be another one in Latin-1, which may end it too. */
const LINE = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+: [\t\x20-\x7e\x80-\xff]*\r\n$/;
const NO_CONTENT = 204;
const NOT_MODIFIED = 304;
const NOTHING: PassedHeaders = { lines: "", date: null, contentLength: null };

/**
 * `headers`: names in small letters and values, flat. What says how long the body is and what becomes of the connection is added here,
 * but for `content-length`, and `connection: close` is understood. `passed` comes before them. Throws an error with the code ERR_INVALID_CHAR for a name or a
 * value that cannot be sent.
 */
export function responseHead(
  status: number,
  headers: readonly string[],
  request: AnsweredRequest,
  passed: PassedHeaders = NOTHING,
): ResponseHead {
  let text = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? "Unknown"}\r\n${passed.lines}`;
  let hasLength = false;
  let hasDate = false;
  let connection = "";
  if (passed.date !== null) {
    hasDate = true;
    text += passedDateLine(passed.date);
  }
  if (passed.contentLength !== null && status !== NO_CONTENT) {
    hasLength = true;
    text += `content-length: ${passed.contentLength}\r\n`;
  }
  for (let index = 0; index + 1 < headers.length; index += 2) {
    const name = headers[index] ?? "";
    const value = headers[index + 1] ?? "";
    const line = headerLine(name, value);
    if (name === "connection") {
      connection = value;
      continue;
    }
    if (name === "content-length") {
      // What has no body has no length either (RFC 9110, section 8.6).
      if (status === NO_CONTENT) continue;
      hasLength = true;
    } else if (name === "date") hasDate = true;
    text += line;
  }
  if (!hasDate) text += dateLine(request.clock.epochMs());
  const hasBody = request.method !== "HEAD" && status !== NO_CONTENT && status !== NOT_MODIFIED;
  const framing = framingOf(hasBody, hasLength, request.httpVersion);
  if (framing === "chunked") text += "transfer-encoding: chunked\r\n";
  const keepsAlive = request.keepsAlive && connection !== "close" && framing !== "to the end of the connection";
  if (!keepsAlive) text += "connection: close\r\n\r\n";
  else if (connection !== "") text += `connection: ${connection}\r\n\r\n`;
  else
    text += `connection: keep-alive\r\nkeep-alive: timeout=${Math.floor(request.keepAliveTimeoutMs / 1_000)}\r\n\r\n`;
  return { text, framing, keepsAlive };
}

/** Names and values, flat, as lines. Throws as `responseHead` does. */
export function headerLines(headers: readonly string[]): string {
  let lines = "";
  for (let index = 0; index + 1 < headers.length; index += 2) {
    lines += headerLine(headers[index] ?? "", headers[index + 1] ?? "");
  }
  return lines;
}

function headerLine(name: string, value: string): string {
  const line = `${name}: ${value}\r\n`;
  if (!LINE.test(line)) throw new InvalidHeaderError(name);
  return line;
}

function framingOf(hasBody: boolean, hasLength: boolean, httpVersion: string): Framing {
  if (!hasBody) return "no body";
  if (hasLength) return "length";
  return httpVersion === "1.1" ? "chunked" : "to the end of the connection";
}

let passedDate: string | null = null;
let passedLine = "";

/** Those of one second are the same. */
function passedDateLine(value: string): string {
  if (value !== passedDate) {
    passedLine = headerLine("date", value);
    passedDate = value;
  }
  return passedLine;
}

let dateAtS = -1;
let date = "";

/** The same for a whole second: to make it costs nearly half as much as all the rest. */
function dateLine(nowEpochMs: number): string {
  const atS = Math.floor(nowEpochMs / 1_000);
  if (atS !== dateAtS) {
    dateAtS = atS;
    date = `date: ${new Date(nowEpochMs).toUTCString()}\r\n`;
  }
  return date;
}

/** A header that would break the answer. Its value may be a secret, and is not told. */
class InvalidHeaderError extends Error {
  override readonly name = "InvalidHeaderError";
  readonly code = "ERR_INVALID_CHAR";

  constructor(header: string) {
    super(`the header ${JSON.stringify(header)} of an answer has characters that no header may have`);
  }
}
