/** Where the engines are and how they do, for those who look or send requests, not for those who decide. */
import type { Dispatcher } from "undici";
import type { ModelId } from "../core/model.ts";

/** How to reach a model's engine. */
export interface EngineConnection {
  /** Scheme, host and port: `http://127.0.0.1:8001`. */
  readonly origin: string;
  /** The connection pool of this engine's life; it is closed when the engine ends. */
  readonly dispatcher: Dispatcher;
  /** Asks the engine how it is, in its own way; takes seconds at most. Never rejects. */
  readonly health: () => Promise<EngineHealth>;
}

/** Unwell: it says so, or cannot be reached. Unknown: it does not say. */
export type EngineHealth = "well" | "unwell" | "unknown";

/** How far a start has come, as read from the engine's output. */
export interface StartProgress {
  /** What it does: "loading weights", "compiling", "capturing graphs", … */
  readonly stage: string;
  /** 0 to 100, or null where the engine does not say. */
  readonly percent: number | null;
}

/** What is known of the process behind a model. */
export interface EngineInfo {
  readonly model: ModelId;
  /** Null while no process runs. */
  readonly pid: number | null;
  readonly port: number | null;
  /** When the process was started, in ms since 1970. */
  readonly startedAtEpochMs: number | null;
  /** Null unless it is starting. */
  readonly progress: StartProgress | null;
  /** The file that holds its output. */
  readonly logFile: string;
}

/** The running engines. */
export interface EngineDirectory {
  info(model: ModelId): EngineInfo;
  /** Null while no process runs. */
  connection(model: ModelId): EngineConnection | null;
}
