/** What the gateway says of each request when it is over: one record a request, for logs and metrics. */
import type { Failure } from "../base/failure.ts";
import type { ModelId } from "../core/model.ts";

/**
 * How a request ended: answered in full; turned away before any engine had it; broken off by its engine or by us after an
 * engine had it; or left by its client.
 */
export type AccessOutcome = "served" | "refused" | "failed" | "abandoned";

/** One request, from its headers to the last byte of its answer; or what was sent in the place of one and could not be read. */
export interface AccessRecord {
  readonly requestId: string;
  /** Null where the headers could not be read, or did not come. */
  readonly method: string | null;
  /** The route it took, such as `/v1/chat/completions`; null for a path that is none. */
  readonly route: string | null;
  /** Null where the request named none of the configured models. */
  readonly model: ModelId | null;
  /** The name of the API key that let it in, where one is asked for. */
  readonly key?: string;
  /** The HTTP status that was sent; 499 if the client left before one was. */
  readonly status: number;
  readonly outcome: AccessOutcome;
  /** When its headers had come, in ms since 1970; or when it was clear that they would not. */
  readonly arrivedAtEpochMs: number;
  readonly durationMs: number;
  /** How much of that it waited for its model. */
  readonly waitedMs: number;
  /** Of the body; where the headers could not be read, what has come of them. */
  readonly bytesIn: number;
  /** Of the answer's body. */
  readonly bytesOut: number;
  /** What the engine's answer says that the prompt had; null where it does not say. */
  readonly promptTokens: number | null;
  /**
   * What the engine's answer says that it has made. For a stream that does not say, the number of its events, which is
   * about that; null for any other answer.
   */
  readonly outputTokens: number | null;
  /** Why it was not served. */
  readonly failure?: Failure;
}
