/** What can go wrong in the world: a closed list of codes, each failure plain data with a sentence for people. */

/** Every code that a client, an operator or the journal can see. The HTTP status of each is decided in gateway/errors.ts. */
export type FailureCode =
  | "invalid_request"
  | "body_too_large"
  /** The disk did not take the body. */
  | "body_not_kept"
  | "model_not_found"
  | "route_not_found"
  | "method_not_allowed"
  /** There is only a WebSocket here. */
  | "upgrade_required"
  /** No engine that is known of has made this response. */
  | "response_not_found"
  /** No key, or one that is none of the configured ones. */
  | "invalid_api_key"
  /** The key may not use this model. */
  | "model_not_allowed"
  /** The key has made as many requests as it may in this time. */
  | "rate_limit_exceeded"
  /** The key has as many requests in progress as it may. */
  | "too_many_in_flight"
  /** There are as many connections as llmux takes. */
  | "too_many_connections"
  /** The client has stopped reading its answer. */
  | "client_stalled"
  | "queue_timeout"
  /** Too many requests wait already. */
  | "queue_full"
  /** The request would wait longer than it may. */
  | "wait_too_long"
  | "start_failed"
  | "wake_failed"
  /** A start or a wake found too little GPU memory free. */
  | "out_of_memory"
  | "sleep_failed"
  | "stop_failed"
  | "engine_crashed"
  | "engine_unreachable"
  | "drain_timeout"
  | "stopped_by_operator"
  | "shutting_down"
  | "internal_error";

/** A fault of the world, as data. `retryAfterMs` is when a further try makes sense, where that is known. */
export interface Failure {
  readonly code: FailureCode;
  readonly message: string;
  readonly retryAfterMs?: number;
  /** What was free on the fullest GPU when there was too little, in bytes, where that is known. */
  readonly freeBytes?: number;
  /** The engine's last output lines, oldest first, where they help to understand the failure. */
  readonly lastOutput?: readonly string[];
}

/** Makes a failure. */
export function failure(code: FailureCode, message: string, extra: Omit<Failure, "code" | "message"> = {}): Failure {
  return { code, message, ...extra };
}

/** The message of anything that was thrown, with the code of a system error and its cause where there is one. */
export function describeError(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const code = "code" in error && typeof error.code === "string" ? error.code : undefined;
  const text = code !== undefined && !error.message.includes(code) ? `${error.message} (${code})` : error.message;
  const cause = error.cause === undefined ? "" : `: ${describeError(error.cause)}`;
  return (text === "" ? (code ?? error.name) : text) + cause;
}
