/** Answers what is not even a request: broken HTTP, endless headers, requests that never end. */
import { failure } from "../base/failure.ts";
import { errorBody } from "./errors.ts";
import type { Refusal, RefusalAnswer } from "./http1/connection-host.ts";

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

/** The whole answer, with the end of its connection. */
export function refusalOf(reason: Refusal): RefusalAnswer {
  const { status, phrase, message } = ROWS[reason];
  const body = errorBody(failure("invalid_request", message), "openai", "");
  const bytes =
    `HTTP/1.1 ${status} ${phrase}\r\n` +
    `content-type: application/json; charset=utf-8\r\n` +
    `content-length: ${Buffer.byteLength(body)}\r\n` +
    `connection: close\r\n\r\n${body}`;
  return { status, bytes };
}
