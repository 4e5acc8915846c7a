/** What is written for a request, and which requests are not for the client in this room. */
import { Buffer } from "node:buffer";
import type { Dispatcher } from "undici";
import { HeaderBlock } from "../../base/header-block.ts";

/** A request as it is written. */
export interface RequestBytes {
  /** How the head begins: perhaps the same as before, and not to be changed. */
  readonly start: Buffer;
  /** The rest of it, to be written as Latin-1. */
  readonly rest: string;
  readonly body: Buffer | null;
  readonly isHead: boolean;
}

/** These have a `content-length` also when they have no body. */
const EXPECT_BODY: ReadonlySet<string> = new Set(["POST", "PUT", "PATCH", "QUERY", "PROPFIND", "PROPPATCH"]);

/** They say how the message travels, which is decided here. */
const OF_THE_CONNECTION: ReadonlySet<string> = new Set([
  "host",
  "content-length",
  "transfer-encoding",
  "connection",
  "keep-alive",
  "upgrade",
  "expect",
]);

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const PATH = /^\/[\u0021-\u00ff]*$/;
const UNFIT_FOR_A_VALUE = /[^\t\x20-\x7e\x80-\xff]/;

/**
 * Null for a request that is not made here: one that changes the connection, whose body is a stream, that says itself how it is sent, or
 * that no client may send. Undici knows what to do with the former, and how to refuse the latter.
 */
export function requestBytes(
  { method, path, headers, body, query, upgrade, expectContinue }: Dispatcher.DispatchOptions,
  host: string,
  more: HeaderBlock,
): RequestBytes | null {
  if (query !== undefined || (upgrade ?? false) !== false || expectContinue === true) return null;
  if (typeof path !== "string" || !isPath(path) || !isMethod(method)) return null;
  const bytes = typeof body === "string" ? Buffer.from(body) : (body ?? null);
  if (bytes !== null && !Buffer.isBuffer(bytes)) return null;
  const target = { method, path, host, more };
  const known = headers instanceof HeaderBlock ? knownStart(headers, target) : null;
  const start = known?.start ?? startOf(target, linesOf(headers));
  const lines = known?.lines ?? "";
  if (start === null) return null;
  const length = bytes?.length ?? 0;
  const lengthLine = length > 0 || EXPECT_BODY.has(method) ? `content-length: ${length}\r\n` : "";
  return {
    start,
    rest: `${lines}${lengthLine}\r\n`,
    body: length === 0 ? null : bytes,
    isHead: method === "HEAD",
  };
}

/** Where a request goes, and with which headers of the pool. */
interface Target {
  readonly method: string;
  readonly path: string;
  readonly host: string;
  readonly more: HeaderBlock;
}

/** What requests that differ in their last headers only begin with. */
interface KnownStart extends Target {
  readonly start: Buffer;
}

/** Kept with a block of headers that has been sent once. */
const SENT_ONCE = Symbol("sent once");

/** What stays the same of a block that comes again and again with another one behind it, and the lines of that one. */
function knownStart(headers: HeaderBlock, target: Target): { readonly start: Buffer; readonly lines: string } | null {
  const { before } = headers;
  if (before === null) return null;
  const known = before.reading;
  if (isKnownStart(known) && isSame(known, target)) {
    const lines = headers.moreLinesBy(flatLines);
    return lines === null ? null : { start: known.start, lines };
  }
  if (known !== SENT_ONCE) {
    before.reading = SENT_ONCE;
    return null;
  }
  const start = startOf(target, before.linesBy(flatLines));
  const lines = headers.moreLinesBy(flatLines);
  if (start === null || lines === null) return null;
  // With memory of its own: it may live long, and would keep all of what buffers share.
  const kept = Buffer.allocUnsafeSlow(start.length);
  start.copy(kept);
  before.reading = { ...target, start: kept };
  return { start: kept, lines };
}

function isKnownStart(reading: unknown): reading is KnownStart {
  return typeof reading === "object" && reading !== null && "start" in reading;
}

function isSame(one: Target, other: Target): boolean {
  return one.path === other.path && one.host === other.host && one.more === other.more && one.method === other.method;
}

/** Null where there is something that cannot be sent. */
function startOf({ method, path, host, more }: Target, lines: string | null): Buffer | null {
  const moreLines = more.linesBy(flatLines);
  if (lines === null || moreLines === null) return null;
  return Buffer.from(`${method} ${path} HTTP/1.1\r\nhost: ${host}\r\n${lines}${moreLines}`, "latin1");
}

function isPath(path: string): boolean {
  if (path === lastPath) return true;
  if (!PATH.test(path)) return false;
  lastPath = path;
  return true;
}

/** Most requests go where the one before went. */
let lastPath = "/";

function isMethod(method: unknown): method is string {
  return typeof method === "string" && method !== "CONNECT" && (method === "POST" || TOKEN.test(method));
}

function linesOf(headers: Dispatcher.DispatchOptions["headers"]): string | null {
  if (headers instanceof HeaderBlock) return headers.linesBy(flatLines);
  return Array.isArray(headers) ? flatLines(headers) : objectLines(headers);
}

function flatLines(headers: readonly unknown[]): string | null {
  if (headers.length % 2 !== 0) return null;
  let lines = "";
  for (let index = 0; index < headers.length; index += 2) {
    const name = headers[index];
    const value = headers[index + 1];
    if (!isName(name) || !isValue(value)) return null;
    lines += `${name}: ${value}\r\n`;
  }
  return lines;
}

function objectLines(headers: Dispatcher.DispatchOptions["headers"]): string | null {
  if (headers === null || headers === undefined) return "";
  if (Symbol.iterator in headers) return null;
  return flatLines(Object.entries(headers).flatMap(([name, value]) => [value].flat().flatMap((one) => [name, one])));
}

function isName(name: unknown): name is string {
  if (typeof name !== "string") return false;
  if (KNOWN_NAMES.has(name)) return true;
  if (!TOKEN.test(name) || OF_THE_CONNECTION.has(name.toLowerCase())) return false;
  if (KNOWN_NAMES.size < KNOWN_NAMES_MAX && name.length <= KNOWN_NAME_LENGTH_MAX) KNOWN_NAMES.add(name);
  return true;
}

function isValue(value: unknown): value is string {
  return typeof value === "string" && !UNFIT_FOR_A_VALUE.test(value);
}

/** Names that have been looked at; nearly all requests have the same. */
const KNOWN_NAMES = new Set<string>();
const KNOWN_NAMES_MAX = 256;
const KNOWN_NAME_LENGTH_MAX = 64;
