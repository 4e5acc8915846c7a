/** What is counted of one API key. */
import type { Clock } from "../ports/clock.ts";
import { TokenBucket } from "./token-bucket.ts";

/** How much a key may do; each is at least 1, null: any number. */
export interface KeyAllowance {
  readonly requestsPerMinute: number | null;
  /** Requests in progress. */
  readonly inFlightMax: number | null;
}

/** The counts of one key. */
export interface KeyCounts {
  /** One more request is in progress; false, and then nothing is counted, if there are as many as may be. */
  begin(): boolean;
  /** One less is. */
  end(): void;
  /** Counts a request to those of this minute: 0; or does not, and says in how many ms one more may come. */
  take(): number;
}

/** Kept by one gateway for itself. */
export class OwnKeyCounts implements KeyCounts {
  readonly #inFlightMax: number;
  readonly #bucket: TokenBucket | null;
  readonly #clock: Clock;
  #inFlight = 0;

  constructor({ requestsPerMinute, inFlightMax }: KeyAllowance, clock: Clock) {
    this.#inFlightMax = inFlightMax ?? Infinity;
    this.#bucket = requestsPerMinute === null ? null : new TokenBucket(requestsPerMinute, 60_000, clock.nowMs());
    this.#clock = clock;
  }

  begin(): boolean {
    if (this.#inFlight >= this.#inFlightMax) return false;
    this.#inFlight += 1;
    return true;
  }

  end(): void {
    this.#inFlight -= 1;
  }

  take(): number {
    return this.#bucket?.take(this.#clock.nowMs()) ?? 0;
  }
}
