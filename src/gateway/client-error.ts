/** Answers what is not even a request: broken HTTP, endless headers, requests that never end. */
import { failure, type Failure } from "../base/failure.ts";
import type { AccessRecord } from "../ports/access-record.ts";
import { errorBody } from "./errors.ts";
import type { Refusal } from "./http1/connection-host.ts";
import { newRequestId } from "./request-id.ts";
import type { Dialect } from "./routes.ts";
import { NO_TOKEN_COUNTS } from "./usage-tail.ts";

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

/** What is said then. */
export interface RefusalAnswer {
  readonly status: number;
  readonly failure: Failure;
  /** The whole answer, with the end of its connection. */
  readonly text: string;
  /** How much of that is its body. */
  readonly bodyBytes: number;
}

/** In the form of the API that the request is for, as far as that is known. */
export function refusalAnswer(reason: Refusal, dialect: Dialect, requestId: string): RefusalAnswer {
  const { status, phrase, message } = ROWS[reason];
  const refused = failure("invalid_request", message);
  const body = errorBody(refused, dialect, requestId);
  const bodyBytes = Buffer.byteLength(body);
  const anthropic = dialect === "anthropic" ? `request-id: ${requestId}\r\n` : "";
  const text =
    `HTTP/1.1 ${status} ${phrase}\r\n` +
    `content-type: application/json; charset=utf-8\r\n` +
    `x-request-id: ${requestId}\r\n${anthropic}` +
    `content-length: ${bodyBytes}\r\n` +
    `connection: close\r\n\r\n${body}`;
  return { status, failure: refused, text, bodyBytes };
}

/** What becomes of a head that cannot be read. */
export interface HeadRefusal {
  /** The whole answer. */
  readonly text: string;
  /** Null for one who has said nothing at all: whoever only knocks has asked for nothing. */
  readonly record: AccessRecord | null;
}

/** It was meant to be a request, and is told of like one. `headBytes`: what of it has come. */
export function headRefusal(reason: Refusal, headBytes: number, atEpochMs: number): HeadRefusal {
  const requestId = newRequestId();
  const { status, failure: why, text, bodyBytes } = refusalAnswer(reason, "openai", requestId);
  if (headBytes === 0) return { text, record: null };
  const record: AccessRecord = {
    requestId,
    method: null,
    route: null,
    model: null,
    status,
    outcome: "refused",
    arrivedAtEpochMs: atEpochMs,
    durationMs: 0,
    waitedMs: 0,
    bytesIn: headBytes,
    bytesOut: bodyBytes,
    ...NO_TOKEN_COUNTS,
    failure: why,
  };
  return { text, record };
}
