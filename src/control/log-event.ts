/** One line of the log, before it is written. */
import type { Failure } from "../base/failure.ts";
import type { LogFields } from "../ports/log.ts";

/** What happened, how much it matters, and the facts. */
export interface LogEvent {
  readonly level: "debug" | "info" | "warn" | "error";
  readonly event: string;
  readonly fields: LogFields;
}

/** What a failure adds to an event. */
export function failureFields({ code, message, retryAfterMs, lastOutput }: Failure): LogFields {
  return {
    code,
    reason: message,
    ...(retryAfterMs === undefined ? {} : { retry_after_ms: rounded(retryAfterMs) }),
    ...(lastOutput === undefined || lastOutput.length === 0 ? {} : { last_output: lastOutput }),
  };
}

/** A tenth of a millisecond is as fine as anybody reads. */
export function rounded(ms: number): number {
  return Math.round(ms * 10) / 10;
}
