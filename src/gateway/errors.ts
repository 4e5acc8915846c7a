/** How a failure looks to a client: its HTTP status, its headers and its body, in the dialect of the route. */
import type { Failure, FailureCode } from "../base/failure.ts";
import type { Dialect } from "./routes.ts";

/** A whole error answer. */
export interface ErrorAnswer {
  readonly status: number;
  /** Names and values, flat. */
  readonly headers: readonly string[];
  readonly body: string;
}

interface Row {
  readonly status: number;
  readonly openai: string;
  readonly anthropic: string;
  /** Sent when the failure itself does not say when to try again; in ms. */
  readonly retryAfterMs?: number;
  /** Set where clients would try again by themselves and that cannot help. */
  readonly retryIsUseless?: true;
}

const BAD_REQUEST = { status: 400, openai: "invalid_request_error", anthropic: "invalid_request_error" } as const;
const RATE_LIMIT = {
  status: 429,
  openai: "rate_limit_error",
  anthropic: "rate_limit_error",
  retryAfterMs: 1_000,
} as const;
const NOT_READY = { status: 503, openai: "server_error", anthropic: "api_error", retryAfterMs: 1_000 } as const;
const ENGINE_BROKE = { status: 502, openai: "server_error", anthropic: "api_error" } as const;

const ROWS: Readonly<Record<FailureCode, Row>> = {
  invalid_request: BAD_REQUEST,
  model_not_found: { ...BAD_REQUEST, status: 404, anthropic: "not_found_error" },
  route_not_found: { ...BAD_REQUEST, status: 404, anthropic: "not_found_error" },
  response_not_found: { ...BAD_REQUEST, status: 404, anthropic: "not_found_error" },
  upgrade_required: { ...BAD_REQUEST, status: 426 },
  method_not_allowed: { ...BAD_REQUEST, status: 405 },
  invalid_api_key: { status: 401, openai: "authentication_error", anthropic: "authentication_error" },
  model_not_allowed: { status: 403, openai: "permission_error", anthropic: "permission_error" },
  rate_limit_exceeded: RATE_LIMIT,
  too_many_in_flight: RATE_LIMIT,
  too_many_connections: NOT_READY,
  // Only the log ever sees it.
  client_stalled: { ...BAD_REQUEST, status: 408 },
  body_too_large: { ...BAD_REQUEST, status: 413, anthropic: "request_too_large" },
  body_not_kept: { status: 500, openai: "server_error", anthropic: "api_error" },
  queue_timeout: { status: 504, openai: "timeout", anthropic: "timeout_error" },
  // Like a provider's rate limit: the one who asks too often is told so, and clients wait before they ask again.
  queue_full: RATE_LIMIT,
  wait_too_long: NOT_READY,
  start_failed: NOT_READY,
  wake_failed: NOT_READY,
  out_of_memory: NOT_READY,
  sleep_failed: NOT_READY,
  stop_failed: NOT_READY,
  drain_timeout: NOT_READY,
  stopped_by_operator: NOT_READY,
  // A restart takes a moment: one that asks again at once is only refused again.
  shutting_down: { ...NOT_READY, retryAfterMs: 5_000 },
  // The gateway has tried twice already, and the request itself may be what kills the engine.
  engine_crashed: { ...ENGINE_BROKE, retryIsUseless: true },
  engine_unreachable: ENGINE_BROKE,
  internal_error: { status: 500, openai: "server_error", anthropic: "api_error", retryIsUseless: true },
};

/** The answer that stands for this failure. */
export function errorAnswer(failure: Failure, dialect: Dialect, requestId: string): ErrorAnswer {
  const row = rowOf(failure);
  const headers = ["content-type", "application/json; charset=utf-8"];
  const retryAfterMs = failure.retryAfterMs ?? row.retryAfterMs;
  if (retryAfterMs !== undefined) headers.push("retry-after", String(Math.max(1, Math.ceil(retryAfterMs / 1_000))));
  if (row.retryIsUseless === true) headers.push("x-should-retry", "false");
  return { status: row.status, headers, body: errorBody(failure, dialect, requestId) };
}

/** The HTTP status of a failure. */
export function errorStatus(failure: Failure): number {
  return rowOf(failure).status;
}

/** The error object alone, as JSON on one line: for answers, and for streams that break off. */
export function errorBody(failure: Failure, dialect: Dialect, requestId: string): string {
  const row = rowOf(failure);
  const { message, code } = failure;
  if (dialect === "anthropic") {
    return JSON.stringify({ type: "error", error: { type: row.anthropic, message }, request_id: requestId });
  }
  const param = code === "model_not_found" || code === "model_not_allowed" ? "model" : null;
  return JSON.stringify({ error: { message, type: row.openai, param, code } });
}

/** A crash for which the next try has a date is an engine that is not ready: this request has not met its death. */
function rowOf(failure: Failure): Row {
  if (failure.code === "engine_crashed" && failure.retryAfterMs !== undefined) return NOT_READY;
  return ROWS[failure.code];
}
