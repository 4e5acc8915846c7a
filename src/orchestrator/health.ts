/** How an engine says that it can serve, and how one is watched whose end nobody tells us. */
import { describeError } from "../base/failure.ts";
import type { Order } from "../base/engine-settings.ts";
import type { Clock, TimerHandle } from "../ports/clock.ts";
import type { EngineConnection, EngineHealth } from "../ports/engine-directory.ts";
import type { HttpClient } from "../ports/http-client.ts";
import type { RunCommand } from "./engine-control.ts";
import { NEVER } from "./operations.ts";

/** An engine that accepts and does not answer is asked again after this. */
const LOOK_TIMEOUT_MS = 2_000;

/** Resolves with null when it is well, else with what it answered; rejects with the signal's reason only. */
export type Look = (signal: AbortSignal) => Promise<string | null>;

/** What a look is made with; `run` carries out a command. */
export interface LookParts {
  readonly http: HttpClient;
  readonly run: RunCommand;
  /** Its own connections, where they carry something that others do not. */
  readonly over?: EngineConnection["dispatcher"];
}

/** A look at an engine's health: a request that is answered with 200, or a command that ends with 0. */
export function lookAt(health: Order, origin: string, parts: LookParts): Look {
  return async (signal) => {
    try {
      if ("run" in health) return await parts.run(health.run, LOOK_TIMEOUT_MS, signal);
      const status = await statusOf(health.request, origin, parts, signal);
      return status === 200 ? null : `GET ${health.request} answered ${status}`;
    } catch (error) {
      signal.throwIfAborted();
      return isLate(error) ? `no answer within ${LOOK_TIMEOUT_MS / 1000} s` : describeError(error);
    }
  };
}

/** The same for one that was well: by its answer it is known whether it is about to end. */
export function healthOf(health: Order, origin: string, parts: LookParts): () => Promise<EngineHealth> {
  return async () => {
    try {
      if ("run" in health) {
        return (await parts.run(health.run, LOOK_TIMEOUT_MS, NEVER)) === null ? "well" : "unwell";
      }
      const status = await statusOf(health.request, origin, parts, NEVER);
      if (status === 200) return "well";
      return status >= 500 ? "unwell" : "unknown";
    } catch (error) {
      return isLate(error) ? "unknown" : "unwell";
    }
  };
}

async function statusOf(target: string, origin: string, parts: LookParts, signal: AbortSignal): Promise<number> {
  const isOwn = target.startsWith("/");
  const url = isOwn ? origin + target : target;
  const over = isOwn && parts.over !== undefined ? { over: parts.over } : {};
  const { status } = await parts.http.call({ method: "GET", url, timeoutMs: LOOK_TIMEOUT_MS, signal, ...over });
  return status;
}

function isLate(error: unknown): boolean {
  return error instanceof Error && error.name === "TimeoutError";
}

/** How often an engine is looked at that is no process of ours. */
const WATCH_MS = 5_000;

/** So many bad looks in a row are no hiccup. */
const BAD_LOOKS_MAX = 2;

/** Looks at an engine every few seconds until it is ended, or until the engine is lost; then it says why, once. */
export class HealthWatch {
  readonly #look: Look;
  readonly #clock: Clock;
  readonly #onLost: (why: string) => void;
  readonly #over = new AbortController();
  #timer: TimerHandle | null = null;
  #badLooks = 0;

  constructor(look: Look, clock: Clock, onLost: (why: string) => void) {
    this.#look = look;
    this.#clock = clock;
    this.#onLost = onLost;
    this.#schedule();
  }

  end(): void {
    this.#over.abort();
    this.#timer?.cancel();
  }

  #schedule(): void {
    this.#timer = this.#clock.after(WATCH_MS, () => {
      this.#look(this.#over.signal).then(
        (why) => this.#onLooked(why),
        () => {},
      );
    });
  }

  #onLooked(why: string | null): void {
    if (this.#over.signal.aborted) return;
    this.#badLooks = why === null ? 0 : this.#badLooks + 1;
    if (why === null || this.#badLooks < BAD_LOOKS_MAX) return this.#schedule();
    this.end();
    this.#onLost(why);
  }
}
