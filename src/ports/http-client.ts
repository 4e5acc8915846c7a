/** Short HTTP calls to an engine's control routes, as a port. */
import type { Dispatcher } from "undici";

/** One call. */
export interface HttpCall {
  readonly method: "GET" | "POST";
  readonly url: string;
  /** Sent as JSON. */
  readonly json?: unknown;
  /** Limit for the whole call in ms; when it is over the call rejects. */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
  /**
   * The engine's own connections: one that is free is used, which saves opening one. A call that breaks there is made once
   * more on a new connection, so it must do no harm twice.
   */
  readonly over?: Dispatcher;
}

/** Its answer, whole. */
export interface HttpAnswer {
  readonly status: number;
  readonly body: string;
}

/** Rejects when there is no answer: refused, broken, or too late. */
export interface HttpClient {
  call(call: HttpCall): Promise<HttpAnswer>;
}
