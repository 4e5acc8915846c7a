/** The head of an answer: its status line and headers, read strictly, and what they say of the body. */
import type { IncomingHttpHeaders } from "node:http";
import { errors } from "undici";
import { headerValue } from "../../base/http-text.ts";

/** One answer's head. */
export interface AnswerHead {
  readonly status: number;
  readonly statusText: string;
  /** Names in small letters; an array of values where a name is there twice. */
  readonly headers: IncomingHttpHeaders;
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
  const headers = lineEnd === -1 ? NO_HEADERS : readHeaders(head, lineEnd + 2);
  const status = Number(match[2]);
  const framing = framingOf(headers, status, isToHead);
  const keptMs = match[1] === "0" || !endsByItself(framing, headers, status) ? 0 : keptMsOf(headers);
  dropContradiction(headers);
  return { status, statusText: match[3] ?? "", headers, framing, keptMs };
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

const NO_HEADERS: IncomingHttpHeaders = Object.freeze({});

function readHeaders(head: string, from: number): IncomingHttpHeaders {
  // Without a prototype, so that an engine's `constructor` is a header like any other.
  const headers = Object.create(null) as IncomingHttpHeaders;
  for (let at = from; at < head.length;) {
    const found = head.indexOf("\r\n", at);
    const end = found === -1 ? head.length : found;
    const colon = head.indexOf(":", at);
    if (colon === -1 || colon >= end) throw malformed("a header has no colon");
    const name = head.slice(at, colon).toLowerCase();
    if (!NAME.test(name)) throw malformed("the name of a header is invalid");
    add(headers, name, headerValue(head, colon + 1, end));
    at = end + 2;
  }
  return headers;
}

function add(headers: IncomingHttpHeaders, name: string, value: string): void {
  const before = headers[name];
  if (before === undefined) headers[name] = value;
  else if (Array.isArray(before)) before.push(value);
  else headers[name] = [before, value];
}

function framingOf(headers: IncomingHttpHeaders, status: number, isToHead: boolean): Framing {
  const coding = valueOf(headers, "transfer-encoding");
  const length = lengthOf(headers);
  if (isToHead || status < 200 || status === 204 || status === 304) return 0;
  if (coding === undefined) return length ?? "to the end of the connection";
  // Any other coding would have to be undone here: the client is not told of it.
  if (coding.toLowerCase() !== "chunked") throw malformed("the transfer coding is unknown");
  return "chunked";
}

/** Null where there is none. Several that are the same are one. */
function lengthOf(headers: IncomingHttpHeaders): number | null {
  const given = valueOf(headers, "content-length");
  if (given === undefined) return null;
  const [first = "", ...others] = given.split(",");
  const length = first.trim();
  if (!/^\d{1,15}$/.test(length)) throw malformed("the content length is invalid");
  if (others.some((other) => other.trim() !== length)) throw malformed("there are two content lengths");
  headers["content-length"] = length;
  return Number(length);
}

/** Whether what follows the answer on the connection is sure not to belong to it. */
function endsByItself(framing: Framing, headers: IncomingHttpHeaders, status: number): boolean {
  if (framing === "to the end of the connection") return false;
  const length = headers["content-length"];
  const isChunked = headers["transfer-encoding"] !== undefined;
  if (isChunked && length !== undefined) return false;
  // An engine that says this may also send it.
  return status !== 204 && status !== 304 ? true : !isChunked && (length === undefined || length === "0");
}

function keptMsOf(headers: IncomingHttpHeaders): number {
  const connection = valueOf(headers, "connection");
  if (connection !== undefined && /(?:^|,)\s*close\s*(?:,|$)/i.test(connection)) return 0;
  const named = valueOf(headers, "keep-alive");
  if (named === undefined) return Infinity;
  const seconds = /timeout\s*=\s*"?(\d{1,9})/i.exec(named)?.[1];
  return seconds === undefined ? Infinity : Math.max(0, Number(seconds) * 1_000 - KEPT_EARLIER_MS);
}

/** All values of one name, joined by commas. */
function valueOf(headers: IncomingHttpHeaders, name: string): string | undefined {
  const given = headers[name];
  return typeof given === "object" ? given.join(",") : given;
}

/** Whoever passed on a length beside chunks would say something else than what it sends. */
function dropContradiction(headers: IncomingHttpHeaders): void {
  if (headers["transfer-encoding"] === undefined || headers["content-length"] === undefined) return;
  delete headers["content-length"];
}
