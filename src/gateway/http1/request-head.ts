/**
 * Reads the head of an HTTP/1.1 request (RFC 9112). What two servers could understand differently is not understood at all: one strict
 * grammar, one way to tell a length, and a refusal for the rest.
 */
import { METHODS } from "node:http";
import { headerValue } from "../../base/http-text.ts";

/** A head that is what it should be. */
export interface RequestHead {
  readonly method: string;
  /** The target, as it came. */
  readonly url: string;
  readonly httpVersion: "1.0" | "1.1";
  /** Names in small letters, and values, flat, in their order, but for `content-length`. */
  readonly rawHeaders: readonly string[];
  /** Whether the client may send another request on this connection. */
  readonly keepsAlive: boolean;
  /** It sends its body only when it is told to go on. */
  readonly expectsContinue: boolean;
  /** The protocol that the client would rather speak, in small letters; null if it does not ask. */
  readonly upgrade: string | null;
  /** For whoever takes the requests: what he has made of it is still here when it comes again (see `KnownHead`). */
  reading: unknown;
}

/** A head, and what it says of the one body that follows it. */
export interface ReadHead {
  readonly head: RequestHead;
  /** How long it is: 0 where there is none, null where only its chunks tell. */
  readonly bodyBytes: number | null;
}

/**
 * Without the empty line at the end: the first line, and the lines of the headers, each with its end. No target has a fragment, and no
 * authority a user.
 */
const FIRST_LINE =
  /^([A-Z-]+) (\/[!"$-~]*|\*|[Hh][Tt][Tt][Pp][Ss]?:\/\/(?:[0-9A-Za-z.\-_]+|\[[0-9A-Fa-f:.]+\])(?::\d*)?(?:[/?][!"$-~]*)?) HTTP\/1\.([01])\r\n/;

/** One token, a colon, and no control characters behind it. Its parts exclude each other, so it takes one look at each character. */
const HEADER_LINES = /^(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t\x20-\x7e\x80-\xff]*\r\n)*$/;

/**
 * What stands in `Host`: a name or an address, perhaps a port, or nothing (RFC 9112, 3.2). A list, a user or a path could lead another
 * server elsewhere.
 */
const HOST = /^(?:[0-9A-Za-z.\-_]*|\[[0-9A-Fa-f:.]+\])(?::\d*)?$/;

const KNOWN_METHODS: ReadonlySet<string> = new Set(METHODS);

/** Blanks around a value are no part of it; but servers that took a tab for one have been led astray by it. */
const TAB_BESIDE_CODING = /\r\ntransfer-encoding:[^\r]*\t/i;

/** More digits than any body has; a number of them is still exact. */
const LENGTH = /^\d{1,15}$/;

/** Options of `Connection`, between commas: what is written around a blank alone is an option that nobody knows. */
const CLOSE = /(?:^|,)[\t ]*close[\t ]*(?:,|$)/i;
const KEEP_ALIVE = /(?:^|,)[\t ]*keep-alive[\t ]*(?:,|$)/i;
const UPGRADE = /(?:^|,)[\t ]*upgrade[\t ]*(?:,|$)/i;

const TAB = 9;
const LINE_FEED = 10;
const CARRIAGE_RETURN = 13;
const BLANK = 32;
const FIRST_LETTER = 65;
const LAST_LETTER = 90;
const DELETE = 127;

/** Reads a head, given in Latin-1 with the end of its last line and without the empty one. Null if it is not valid. */
export function readRequestHead(text: string): ReadHead | null {
  const first = FIRST_LINE.exec(text);
  if (first === null) return null;
  const [line, method = "", url = "", minor] = first;
  if (!KNOWN_METHODS.has(method)) return null;
  const rawHeaders = readHeaderLines(text.slice(line.length));
  if (rawHeaders === null) return null;
  const read = complete(method, url, minor === "1" ? "1.1" : "1.0", rawHeaders);
  return read?.bodyBytes === null && TAB_BESIDE_CODING.test(text) ? null : read;
}

/** Whether the bytes are the beginning of a head, as far as they go; `from` on, the ones before are known to be. */
export function mayBeHead(bytes: Buffer, from: number): boolean {
  let before = from === 0 ? 0 : (bytes[from - 1] ?? 0);
  for (let at = from; at < bytes.length; at += 1) {
    const byte = bytes[at] ?? 0;
    if ((before === CARRIAGE_RETURN) !== (byte === LINE_FEED)) return false;
    if (at === 0 && !(byte >= FIRST_LETTER && byte <= LAST_LETTER) && byte !== CARRIAGE_RETURN) return false;
    const isControl = byte < BLANK || byte === DELETE;
    if (isControl && byte !== CARRIAGE_RETURN && byte !== LINE_FEED && byte !== TAB) return false;
    before = byte;
  }
  return true;
}

/** Names in small letters and values, flat; null if one is not valid. */
export function readHeaderLines(text: string): string[] | null {
  if (!HEADER_LINES.test(text)) return null;
  const headers: string[] = [];
  for (let at = 0; at < text.length;) {
    const colon = text.indexOf(":", at);
    const end = text.indexOf("\r", colon);
    headers.push(text.slice(at, colon).toLowerCase(), headerValue(text, colon + 1, end));
    at = end + 2;
  }
  return headers;
}

function complete(method: string, url: string, httpVersion: "1.0" | "1.1", lines: readonly string[]): ReadHead | null {
  const rawHeaders: string[] = [];
  let length: string | null = null;
  let coding: string | null = null;
  let connection = "";
  let expect = "";
  let upgrade: string | null = null;
  let hasHost = false;
  for (let index = 0; index + 1 < lines.length; index += 2) {
    const name = lines[index] ?? "";
    const value = lines[index + 1] ?? "";
    if (name === "content-length") {
      // Twice, even with the same value, is one more than anybody needs.
      if (length !== null) return null;
      length = value;
      continue;
    }
    rawHeaders.push(name, value);
    if (name === "transfer-encoding") {
      if (coding !== null) return null;
      coding = value;
    } else if (name === "host") {
      if (hasHost || !HOST.test(value)) return null;
      hasHost = true;
    } else if (name === "connection") connection = connection === "" ? value : `${connection},${value}`;
    else if (name === "expect") expect = value;
    else if (name === "upgrade") upgrade = value;
  }
  const bodyBytes = bodyLength(httpVersion, length, coding);
  if (bodyBytes === undefined) return null;
  const keepsAlive =
    (connection === "" || !CLOSE.test(connection)) && (httpVersion === "1.1" || KEEP_ALIVE.test(connection));
  const expectsContinue = httpVersion === "1.1" && expect.toLowerCase() === "100-continue";
  // Before 1.1 it is to be ignored.
  const asksUpgrade = httpVersion === "1.1" && UPGRADE.test(connection);
  return {
    head: {
      method,
      url,
      httpVersion,
      rawHeaders,
      keepsAlive,
      expectsContinue,
      upgrade: asksUpgrade ? (upgrade?.toLowerCase() ?? null) : null,
      reading: null,
    },
    bodyBytes,
  };
}

/** Undefined where the two ways to tell it contradict each other, or one is not valid. */
function bodyLength(httpVersion: string, length: string | null, coding: string | null): number | null | undefined {
  if (coding !== null) {
    // Before 1.1 nobody knew of chunks; and of two lengths, the next server may believe the other one.
    if (length !== null || httpVersion !== "1.1" || coding.toLowerCase() !== "chunked") return undefined;
    return null;
  }
  if (length === null) return 0;
  return LENGTH.test(length) ? Number(length) : undefined;
}
