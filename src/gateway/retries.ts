/** How often one request may be sent, when nothing of an answer has reached its client yet. */
import type { Failure } from "../base/failure.ts";
import type { EngineConnection } from "../ports/engine-directory.ts";

/** What to do after a try that failed. */
export type NextTry = "send again" | "wait for the crash" | "give up";

/** One engine life may end with the request, and one more may prove that the request was the reason. */
const LIVES_MAX = 2;

/** Two on one life: an idle connection may be closed by the engine as the request goes out, and that is nobody's fault. */
const SENDS_PER_LIFE_MAX = 2;

/** These end a request on purpose: sending it again would only undo them. */
const FINAL_REVOCATIONS: ReadonlySet<Failure["code"]> = new Set([
  "drain_timeout",
  "shutting_down",
  "stopped_by_operator",
]);

/**
 * Counts the tries of one request. A life of an engine is known by its connection pool, so that a connection that breaks,
 * the refused one after it and the crash that explains both count as one.
 */
export class Retries {
  #life: EngineConnection["dispatcher"] | null = null;
  #lives = 0;
  #crashes = 0;
  #sendsOnLife = 0;

  /** Whether there has been a try at all. */
  get hasTried(): boolean {
    return this.#lives > 0;
  }

  /** Counts one more try, or returns false when there have been enough. */
  take(connection: Pick<EngineConnection, "dispatcher">): boolean {
    if (this.#life !== connection.dispatcher) {
      if (this.#lives === LIVES_MAX) return false;
      this.#life = connection.dispatcher;
      this.#lives += 1;
      this.#sendsOnLife = 0;
    }
    this.#sendsOnLife += 1;
    return true;
  }

  /**
   * The connection broke or could not be made. `mayHaveArrived`: whether the engine can have seen the request. An engine
   * that cannot even be connected to is about to be reported dead: sending again before that would only use up the tries.
   */
  onConnectionFailed(mayHaveArrived: boolean): NextTry {
    return mayHaveArrived && this.#sendsOnLife < SENDS_PER_LIFE_MAX ? "send again" : "wait for the crash";
  }

  /** The lease was taken back: the engine's life is over, unless it was done on purpose. */
  onRevoked({ code }: Failure): NextTry {
    if (FINAL_REVOCATIONS.has(code)) return "give up";
    this.#crashes += 1;
    return Math.max(this.#lives, this.#crashes) < LIVES_MAX ? "send again" : "give up";
  }
}
