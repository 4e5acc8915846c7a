/** What a connection needs of its listener, and of whoever takes the requests. */
import type { HttpConnection } from "./http-connection.ts";
import type { HttpRequest } from "./http-request.ts";
import type { HttpResponse } from "./http-response.ts";
import type { RequestHead } from "./request-head.ts";

/** Why a connection is closed with an answer of its own. */
export type Refusal = "broken" | "too slow" | "headers too large" | "extensions too large";

/** Times are in the looks that `look` takes at each connection: counting them costs less than asking a clock for each request. */
export interface ConnectionLimits {
  /** All headers of a request, with its first line. */
  readonly headerBytesMax: number;
  readonly headersLooks: number;
  readonly requestLooks: number;
  readonly keepAliveLooks: number;
  readonly keepAliveTimeoutMs: number;
}

/** One for all connections of a listener. */
export interface ConnectionHost {
  readonly limits: ConnectionLimits;
  /** How many looks there have been. */
  readonly looks: number;
  /** Connections that have nothing to do are closed. */
  readonly isEnding: boolean;
  epochMs(): number;
  /** Calls `fire` in `delayMs`; the answer takes that back. */
  after(delayMs: number, fire: () => void): { cancel(): void };
  /** What is said, as a whole answer, to one whose request could not be read. `headBytes`: how much of its head has come. */
  refusalOf(reason: Refusal, headBytes: number): string;
  onRequest(request: HttpRequest, response: HttpResponse): void;
  /** Whether what the request asks for is not to be answered over HTTP. */
  takesOver(head: RequestHead): boolean;
  /** From here on, the connection is the host's. `rest`: what has come behind the request. */
  onTakenOver(request: HttpRequest, rest: Buffer): void;
  /** Whoever has the request has thrown this; the connection is gone. */
  onBug(error: unknown): void;
  /** Called once. */
  onGone(connection: HttpConnection): void;
}
