/** Answers what is not even a request: broken HTTP, endless headers, requests that never end. */
import { failure } from "../base/failure.ts";
import { errorBody } from "./errors.ts";
import { readRequestHeaders } from "./headers.ts";
import type { Refusal, RefusalAnswer } from "./http1/connection-host.ts";
import type { HttpRequest } from "./http1/http-request.ts";
import { dialectOf, splitTarget } from "./routes.ts";

interface Row {
  readonly status: number;
  readonly phrase: string;
  readonly message: string;
}

const ROWS: Readonly<Record<Refusal, Row>> = {
  broken: { status: 400, phrase: "Bad Request", message: "This is not a valid HTTP/1.1 request." },
  "too slow": { status: 408, phrase: "Request Timeout", message: "The request did not arrive in time." },
  "headers too large": {
    status: 431,
    phrase: "Request Header Fields Too Large",
    message: "The headers are too large.",
  },
  "extensions too large": {
    status: 413,
    phrase: "Payload Too Large",
    message: "The chunk extensions are too large.",
  },
};

/**
 * The whole answer, with the end of its connection, in the form of the API that the request is for. `request`: null where it could not even
 * be read.
 */
export function refusalOf(reason: Refusal, request: HttpRequest | null): RefusalAnswer {
  const { status, phrase, message } = ROWS[reason];
  const dialect = request === null ? "openai" : dialectOf(splitTarget(request.head.url).path);
  const { requestId } = readRequestHeaders(request?.head.rawHeaders ?? []);
  const body = errorBody(failure("invalid_request", message), dialect, requestId);
  const anthropic = dialect === "anthropic" ? `request-id: ${requestId}\r\n` : "";
  const bytes =
    `HTTP/1.1 ${status} ${phrase}\r\n` +
    `content-type: application/json; charset=utf-8\r\n` +
    `x-request-id: ${requestId}\r\n${anthropic}` +
    `content-length: ${Buffer.byteLength(body)}\r\n` +
    `connection: close\r\n\r\n${body}`;
  return { status, bytes };
}
