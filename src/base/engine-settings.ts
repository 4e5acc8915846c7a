/** Which inference server a model's engine is, and what has to be known of one that llmux does not know by itself. */

/** Every kind of engine, as configurations name them. */
export type EngineKind = EngineSettings["kind"];

/** A program and its arguments to be run to its end, or a request to be answered with 200. `${PORT}` and the like stand in them as written. */
export type Order =
  | { readonly run: readonly string[] }
  /** A path on the engine, or a whole URL. */
  | { readonly request: string; readonly json?: unknown };

/** The engine of one model. */
export type EngineSettings = KnownEngine | CommandEngine | ExternalEngine;

/** A server whose ways llmux knows. */
export interface KnownEngine {
  readonly kind: "vllm" | "sglang" | "llama-server";
}

/** Any server, by the commands that start and end it. */
export interface CommandEngine {
  readonly kind: "command";
  /** Stays in the foreground, or returns when the engine runs: then there is a `stop`. */
  readonly start: readonly string[];
  /** Ends what `start` has started, wherever that runs; null: its processes are ended by signals. */
  readonly stop: readonly string[] | null;
  readonly stopTimeoutMs: number;
  /** Scheme, host and port at which it listens. */
  readonly url: string;
  readonly health: Order;
  /** Both or none of the two. */
  readonly sleep: Order | null;
  readonly wake: Order | null;
}

/** A server that somebody else looks after: it is never started and never stopped. */
export interface ExternalEngine {
  readonly kind: "external";
  readonly url: string;
  readonly health: Order;
  /** The variable of the environment that holds its API key; null: it asks for none. */
  readonly apiKeyVariable: string | null;
  /** Both or none of the two. */
  readonly sleep: Order | null;
  readonly wake: Order | null;
}

/** The names that stand for something else in the orders of an engine: `${PORT}` and so on. */
export const PLACEHOLDERS: ReadonlySet<string> = new Set(["PORT", "MODEL", "MODEL_PATH", "GPUS"]);
