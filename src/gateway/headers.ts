/** Which headers pass through the gateway, in both directions, and which of them it reads itself. */
import { HeaderBlock } from "../base/header-block.ts";
import { PRIORITY_HEADER } from "./priority.ts";
import type { Credentials } from "./doorkeeper.ts";

/** What the gateway takes from a request's headers. */
export interface RequestHeaders extends Credentials {
  /** For the engine; the id of the request is still to be added. */
  readonly forward: HeaderBlock;
  /** The client's own id of the request; null where it has none, or one that is of no use. */
  readonly requestId: string | null;
  /** The value of `model-override`; null when it is absent. */
  readonly modelOverride: string | null;
  readonly hasHost: boolean;
  readonly contentEncoding: string | null;
  /** As the client wrote it; joined by commas where it is given twice. */
  readonly contentType: string | null;
  /** The value of `x-llmux-priority`; null when it is absent. */
  readonly priority: string | null;
}

/** Between client and gateway, or between gateway and engine, and no further. */
const HOP_BY_HOP: ReadonlySet<string> = new Set([
  "connection",
  "keep-alive",
  "proxy-connection",
  "proxy-authenticate",
  "proxy-authorization",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
  "http2-settings",
]);

/** Not for the engine either: what it would answer to us and not to the client, and the client's credentials. */
const NOT_FORWARDED: ReadonlySet<string> = new Set([
  ...HOP_BY_HOP,
  "expect",
  // The engine is told the length of what it gets.
  "content-length",
  // The two that are read here never get as far as this list; these are what others call them.
  "api-key",
  "x-goog-api-key",
  "x-auth-token",
  "x-access-token",
  "x-forwarded-access-token",
  "cookie",
]);

/** Of an answer: what an engine calls so is none of the client's business. */
const OWN: ReadonlySet<string> = new Set([
  "x-request-id",
  "request-id",
  "x-llmux-model",
  "x-llmux-queue-ms",
  "x-llmux-wake-ms",
]);

/** An id goes into logs and comes back in a header: printable ASCII without blanks, and not endless. */
const REQUEST_ID = /^[!-~]{1,128}$/;

const BEARER = /^bearer +(\S+) *$/i;

/**
 * Reads the headers of a request, given as names in small letters and values, flat, in one pass. What is read here is not forwarded, but for those that
 * describe the body to the engine as well.
 */
export function readRequestHeaders(raw: readonly string[]): RequestHeaders {
  let forward: string[] = [];
  let requestId: string | null = null;
  let modelOverride: string | null = null;
  let contentEncoding: string | null = null;
  let contentType: string | null = null;
  let priority: string | null = null;
  let connection = "";
  let bearer: string | null = null;
  let apiKey: string | null = null;
  let hasHost = false;
  for (let index = 0; index + 1 < raw.length; index += 2) {
    const name = raw[index] ?? "";
    const value = raw[index + 1] ?? "";
    if (name === "x-request-id") requestId ??= value;
    else if (name === "model-override") modelOverride = modelOverride === null ? value : `${modelOverride}, ${value}`;
    else if (name === PRIORITY_HEADER) priority = priority === null ? value : `${priority}, ${value}`;
    else if (name === "host") hasHost = true;
    else if (name === "authorization") bearer ??= BEARER.exec(value)?.[1] ?? null;
    else if (name === "x-api-key") apiKey ??= value;
    else if (name === "connection") connection = connection === "" ? value : `${connection},${value}`;
    else if (!NOT_FORWARDED.has(name)) {
      if (name === "content-type") contentType = contentType === null ? value : `${contentType}, ${value}`;
      else if (name === "content-encoding") contentEncoding = value;
      forward.push(name, value);
    }
  }
  if (connection !== "") forward = withoutNamed(forward, connection);
  return {
    forward: new HeaderBlock(forward),
    requestId: requestId !== null && REQUEST_ID.test(requestId) ? requestId : null,
    modelOverride,
    hasHost,
    contentEncoding,
    contentType,
    priority,
    bearer,
    apiKey,
  };
}

/** Whether a header of an engine's answer is for its client, as far as its name tells. */
export function isOfTheAnswer(name: string): boolean {
  return !HOP_BY_HOP.has(name) && !OWN.has(name);
}

/** The headers that a `Connection` header declares to be hop-by-hop. Those that describe the body never are. */
export function connectionOptions(connection: string): ReadonlySet<string> {
  const options = connection.toLowerCase();
  if (options === "" || options === "keep-alive" || options === "close") return NONE;
  const named = new Set(options.split(/[\s,]+/));
  for (const name of BODY_HEADERS) named.delete(name);
  return named;
}

function withoutNamed(headers: string[], connection: string): string[] {
  const named = connectionOptions(connection);
  if (named.size === 0) return headers;
  const kept: string[] = [];
  for (let index = 0; index + 1 < headers.length; index += 2) {
    const name = headers[index] ?? "";
    if (!named.has(name)) kept.push(name, headers[index + 1] ?? "");
  }
  return kept;
}

const NONE: ReadonlySet<string> = new Set();
const BODY_HEADERS = ["content-length", "content-type", "content-encoding"];
