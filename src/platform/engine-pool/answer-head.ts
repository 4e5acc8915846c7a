/** The head of an answer: its status line and headers, read strictly, and what they say of the body. */
import type { IncomingHttpHeaders } from "node:http";
import { errors } from "undici";
import { HeaderBlock } from "../../base/header-block.ts";
import { headerValue } from "../../base/http-text.ts";
import type { AnswerHeaders } from "../../ports/framed-handler.ts";

/** One answer's head. */
export interface AnswerHead extends AnswerHeaders {
  readonly status: number;
  readonly statusText: string;
  readonly framing: Framing;
  /** How long the connection may be kept afterwards, in ms, as far as the head says; 0: not at all. */
  readonly keptMs: number;
}

/** How the end of the body is known; a number is its length in bytes. */
export type Framing = number | "chunked" | "to the end of the connection";

/** Whoever keeps a connection gives it up so long before the time that the engine names, in ms. */
const KEPT_EARLIER_MS = 1_000;

/**
 * Reads a head without its blank line, given as Latin-1. `isToHead`: it answers a HEAD, and has no body.
 * Throws `HTTPParserError` where it is no HTTP/1.
 */
export function readAnswerHead(head: string, isToHead: boolean): AnswerHead {
  const lineEnd = head.indexOf("\r\n");
  const statusLine = lineEnd === -1 ? head : head.slice(0, lineEnd);
  const match = STATUS_LINE.exec(statusLine);
  if (match === null || CONTROL_CHARACTERS.test(head)) throw malformed("the head is malformed");
  const lines = readHeaders(head, lineEnd === -1 ? head.length : lineEnd + 2);
  const status = Number(match[2]);
  const { flat, date, coding } = lines;
  const length = lengthOf(lines);
  const framing = framingOf(coding, length, status, isToHead);
  const keptMs = match[1] === "0" || !endsByItself(framing, coding, length, status) ? 0 : keptMsOf(lines);
  return {
    status,
    statusText: match[3] ?? "",
    headers: new HeaderBlock(flat),
    date,
    // Whoever passed on a length beside chunks would say something else than what it sends.
    contentLength: coding === null ? length : null,
    framing,
    keptMs,
  };
}

/** The headers as Node's own client tells them: an array of values where a name is there twice. */
export function headersObject({ headers, date, contentLength }: AnswerHeaders): IncomingHttpHeaders {
  // Without a prototype, so that an engine's `constructor` is a header like any other.
  const object = Object.create(null) as IncomingHttpHeaders;
  for (const [name, value] of headers) {
    const before = object[name];
    if (before === undefined) object[name] = value;
    else if (Array.isArray(before)) before.push(value);
    else object[name] = [before, value];
  }
  if (date !== null) object.date = date;
  if (contentLength !== null) object["content-length"] = contentLength;
  return object;
}

/** The error of an answer that breaks the rules of HTTP. */
export function malformed(what: string): Error {
  return new errors.HTTPParserError(`Response does not match the HTTP/1.1 protocol (${what})`);
}

/** Its minor version, its status, and the words behind it, which may be missing. */
const STATUS_LINE = /^HTTP\/1\.([01]) ([1-9]\d\d)(?: (.*))?$/s;

/** All of them but a tab, and line feeds and carriage returns that are not a pair. */
// oxlint-disable-next-line no-control-regex
const CONTROL_CHARACTERS = /[\0-\x08\x0b\x0c\x0e-\x1f\x7f]|\r(?!\n)|(?<!\r)\n/;

const NAME = /^[!#$%&'*+\-.^_`|~0-9a-z]+$/;

/** What a head says of its body and of the connection, all values of one name joined by commas; null where there are none. */
interface HeaderLines {
  /** Names and values but lengths and dates. */
  readonly flat: string[];
  /** The first one. */
  readonly date: string | null;
  readonly coding: string | null;
  readonly length: string | null;
  readonly connection: string | null;
  readonly keepAlive: string | null;
}

function readHeaders(head: string, from: number): HeaderLines {
  const flat: string[] = [];
  let date: string | null = null;
  let coding: string | null = null;
  let length: string | null = null;
  let connection: string | null = null;
  let keepAlive: string | null = null;
  for (let at = from; at < head.length;) {
    const found = head.indexOf("\r\n", at);
    const end = found === -1 ? head.length : found;
    const colon = head.indexOf(":", at);
    if (colon === -1 || colon >= end) throw malformed("a header has no colon");
    const name = head.slice(at, colon).toLowerCase();
    if (!NAME.test(name)) throw malformed("the name of a header is invalid");
    const value = headerValue(head, colon + 1, end);
    at = end + 2;
    if (name === "content-length") length = joined(length, value);
    else if (name === "date") date ??= value;
    else {
      if (name === "transfer-encoding") coding = joined(coding, value);
      else if (name === "connection") connection = joined(connection, value);
      else if (name === "keep-alive") keepAlive = joined(keepAlive, value);
      flat.push(name, value);
    }
  }
  return { flat, date, coding, length, connection, keepAlive };
}

function joined(before: string | null, value: string): string {
  return before === null ? value : `${before},${value}`;
}

function framingOf(coding: string | null, length: string | null, status: number, isToHead: boolean): Framing {
  if (isToHead || status < 200 || status === 204 || status === 304) return 0;
  if (coding === null) return length === null ? "to the end of the connection" : Number(length);
  // Any other coding would have to be undone here: the client is not told of it.
  if (coding.toLowerCase() !== "chunked") throw malformed("the transfer coding is unknown");
  return "chunked";
}

/** Null where there is none. Several that are the same are one. */
function lengthOf({ length: given }: HeaderLines): string | null {
  if (given === null) return null;
  const [first = "", ...others] = given.split(",");
  const length = first.trim();
  if (!/^\d{1,15}$/.test(length)) throw malformed("the content length is invalid");
  if (others.some((other) => other.trim() !== length)) throw malformed("there are two content lengths");
  return length;
}

/** Whether what follows the answer on the connection is sure not to belong to it. */
function endsByItself(framing: Framing, coding: string | null, length: string | null, status: number): boolean {
  if (framing === "to the end of the connection") return false;
  if (coding !== null && length !== null) return false;
  // An engine that says this may also send it.
  return status !== 204 && status !== 304 ? true : coding === null && (length === null || length === "0");
}

function keptMsOf({ connection, keepAlive }: HeaderLines): number {
  if (connection !== null && /(?:^|,)\s*close\s*(?:,|$)/i.test(connection)) return 0;
  if (keepAlive === null) return Infinity;
  const seconds = /timeout\s*=\s*"?(\d{1,9})/i.exec(keepAlive)?.[1];
  return seconds === undefined ? Infinity : Math.max(0, Number(seconds) * 1_000 - KEPT_EARLIER_MS);
}
