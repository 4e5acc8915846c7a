/** What came in, for tests: counts, and the last requests with their headers and the hash of their bodies. */
import { createHash } from "node:crypto";
import type { IncomingHttpHeaders } from "node:http";

/** How a request stands or ended. */
export type Outcome = "running" | "finished" | "aborted" | "client gone" | "failed";

/** One request. */
export interface LoggedRequest {
  readonly id: number;
  readonly atMs: number;
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  bodyBytes: number;
  bodySha256: string | undefined;
  outcome: Outcome;
  /** Tokens produced so far. */
  tokens: number;
}

const requestsMax = 1_000;

/** The requests for answers; probes and control routes are not among them. */
export class RequestLog {
  readonly #requests: LoggedRequest[] = [];
  readonly #counts: Record<Outcome, number> = { running: 0, finished: 0, aborted: 0, "client gone": 0, failed: 0 };
  #received = 0;

  /** Notes a request that has just come in. */
  open(request: { method: string; path: string; headers: IncomingHttpHeaders }): LoggedRequest {
    this.#received += 1;
    this.#counts.running += 1;
    const logged: LoggedRequest = {
      ...request,
      id: this.#received,
      atMs: performance.timeOrigin + performance.now(),
      bodyBytes: 0,
      bodySha256: undefined,
      outcome: "running",
      tokens: 0,
    };
    this.#requests.push(logged);
    if (this.#requests.length > requestsMax) this.#requests.shift();
    return logged;
  }

  /** Notes a request's body. */
  onBody(request: LoggedRequest, body: Buffer): void {
    request.bodyBytes = body.length;
    request.bodySha256 = createHash("sha256").update(body).digest("hex");
  }

  /** Notes how a request ended; only the first word counts. */
  close(request: LoggedRequest, outcome: Exclude<Outcome, "running">): void {
    if (request.outcome !== "running") return;
    request.outcome = outcome;
    this.#counts.running -= 1;
    this.#counts[outcome] += 1;
  }

  /** How many requests there were. */
  get counts(): { readonly received: number } & Readonly<Record<Outcome, number>> {
    return { received: this.#received, ...this.#counts };
  }

  /** The last `count` requests, oldest first. */
  last(count: number): readonly LoggedRequest[] {
    return this.#requests.slice(-count);
  }
}
