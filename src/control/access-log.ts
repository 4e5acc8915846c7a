/** What becomes of access records in the log: each is a line, but of what was not even a request there is a limit. */
import type { AccessRecord } from "../ports/access-record.ts";
import type { Clock, TimerHandle } from "../ports/clock.ts";
import type { Log } from "../ports/log.ts";
import { logAccess } from "./journal-log.ts";

/**
 * Whoever can open a connection can send something that is no request, without a key: in a time of `PERIOD_MS`, so many of them have a line
 * of their own, and of the others the number is told.
 */
const LINES_MAX = 10;
const PERIOD_MS = 1_000;

/** What it is made of. */
export interface AccessLogOptions {
  readonly log: Log;
  readonly clock: Clock;
}

/** One for a log. */
export class AccessLog {
  readonly #log: Log;
  readonly #clock: Clock;
  /** When the present time began, with the first line of it. */
  #sinceMs = -Infinity;
  #lines = 0;
  #leftOut = 0;
  /** Set while there is something to tell at the end of the time. */
  #timer: TimerHandle | null = null;

  constructor({ log, clock }: AccessLogOptions) {
    this.#log = log;
    this.#clock = clock;
  }

  /** Takes a request that is over. */
  record(record: AccessRecord): void {
    if (record.method !== null || this.#hasRoom()) logAccess(this.#log, record);
    else this.#leaveOut();
  }

  /** Tells now what was to be told at the end of the time. */
  flush(): void {
    this.#timer?.cancel();
    this.#timer = null;
    if (this.#leftOut > 0)
      this.#log.warn("requests refused", { count: this.#leftOut, reason: "no head could be read" });
    this.#leftOut = 0;
  }

  #hasRoom(): boolean {
    const nowMs = this.#clock.nowMs();
    if (nowMs - this.#sinceMs >= PERIOD_MS) {
      this.#sinceMs = nowMs;
      this.#lines = 0;
    }
    if (this.#lines === LINES_MAX) return false;
    this.#lines += 1;
    return true;
  }

  #leaveOut(): void {
    this.#leftOut += 1;
    this.#timer ??= this.#clock.after(this.#sinceMs + PERIOD_MS - this.#clock.nowMs(), () => this.flush());
  }
}
