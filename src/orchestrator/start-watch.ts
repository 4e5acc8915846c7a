/** How far an engine's start has come, read from what it prints. */
import type { Engine } from "../engines/engine.ts";
import type { StartProgress } from "../ports/engine-directory.ts";
import type { Log } from "../ports/log.ts";

/** Logged are new stages, and every so many percent of one. */
const LOGGED_PERCENT = 25;

/** Of one engine, start after start. */
export class StartWatch {
  readonly #model: string;
  readonly #parse: Engine["parseProgress"];
  readonly #log: Log;
  #progress: StartProgress | null = null;

  constructor(model: string, engine: Engine, log: Log) {
    this.#model = model;
    this.#parse = (line) => engine.parseProgress(line);
    this.#log = log;
  }

  /** Null unless it is starting. */
  get progress(): StartProgress | null {
    return this.#progress;
  }

  begin(): void {
    this.#progress = { stage: "starting", percent: null };
  }

  end(): void {
    this.#progress = null;
  }

  /** A line of output, perhaps without its end. */
  onLine(line: string): void {
    const before = this.#progress;
    const progress = before === null ? null : this.#parse(line);
    if (before === null || progress === null) return;
    this.#progress = progress;
    const moved = before.stage !== progress.stage || steps(before) !== steps(progress);
    if (moved) this.#log.info("engine progress", { model: this.#model, ...progress });
  }
}

function steps({ percent }: StartProgress): number {
  return Math.floor((percent ?? 0) / LOGGED_PERCENT);
}
