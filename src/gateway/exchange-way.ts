/** The way of a request to the answer of an engine: a place in the queue, a lease, one or more attempts. */
import { describeError, failure, type Failure } from "../base/failure.ts";
import type { LeaseOutcome } from "../core/lease.ts";
import type { Priority } from "../core/model.ts";
import type { TimerHandle } from "../ports/clock.ts";
import { Attempt, isOwnBug, type AnswerHead, type AttemptOwner, type EngineRequest } from "./attempt.ts";
import type { ExchangeHouse } from "./exchange-house.ts";
import type { HttpResponse } from "./http1/http-response.ts";
import { LeaseClaim, type ClaimHouse } from "./lease-claim.ts";
import type { Applicant, Grant, Waiting } from "./lease-desk.ts";
import { Retries, type NextTry } from "./retries.ts";

/** Who goes it. None of these is called after `end`. */
export interface ExchangeWayOwner {
  /** It has its end already, and what its engine says is of no interest any more. */
  isOver(): boolean;
  /** It waits, in this place of the queue, or, with null, for what has become of its engine. */
  onWaiting(place: Waiting | null): void;
  /** It is about to be sent to an engine. Returns what is added to the answer. */
  onSending(): AnswerHead;
  /** See `AttemptOwner`. */
  onBlocked(): void;
  /** See `AttemptOwner`. */
  onAnswered(status: number): void;
  /** See `AttemptOwner`. */
  onMisplacedAnswer(status: number, body: Buffer, reason: Failure): void;
  /** There will be no answer of an engine, and nothing of one has gone to the client. */
  onFailed(reason: Failure): void;
  /** Nor the rest of the one that has begun. */
  onBroken(reason: Failure): void;
  /** Runs a step in which something may go wrong. */
  guard(step: () => void): void;
}

/** What of the house it needs. */
export type WayHouse = ClaimHouse & Pick<ExchangeHouse, "crashNoticeMs">;

/** From the request for a lease to the end of the last attempt. */
export class ExchangeWay implements Applicant, AttemptOwner {
  readonly #house: WayHouse;
  readonly #owner: ExchangeWayOwner;
  readonly #response: HttpResponse;
  readonly #request: EngineRequest;
  readonly #priority: Priority | undefined;
  readonly #claim: LeaseClaim;
  readonly #retries = new Retries();
  #attempt: Attempt | null = null;
  #crashNotice: TimerHandle | null = null;

  constructor(
    house: WayHouse,
    owner: ExchangeWayOwner,
    to: { readonly response: HttpResponse; readonly request: EngineRequest; readonly priority: Priority | undefined },
  ) {
    this.#house = house;
    this.#owner = owner;
    this.#response = to.response;
    this.#request = to.request;
    this.#priority = to.priority;
    this.#claim = new LeaseClaim(house, this);
  }

  /** The last one; null where the next one is waited for. */
  get attempt(): Attempt | null {
    return this.#attempt;
  }

  /** Whether it ever had a lease. */
  get hadLease(): boolean {
    return this.#claim.hasLease || this.#retries.hasTried;
  }

  /** How long it has been waiting, and for what. */
  get claim(): Pick<LeaseClaim, "isWaiting" | "waitedMs" | "wakeMs"> {
    return this.#claim;
  }

  begin(): void {
    this.#ask();
  }

  /** What the attempt has brought is left as it is; nothing more comes of it. */
  cancelAttempt(): void {
    this.#attempt?.cancel();
  }

  /** The engine has nothing more to do with it. */
  release(outcome: LeaseOutcome): void {
    this.#claim.release(outcome);
  }

  /** Lets go of everything. First the engine, then the lease: whoever gets the GPU next must not find our request still on it. */
  end(outcome: LeaseOutcome): void {
    this.#crashNotice?.cancel();
    this.#attempt?.cancel();
    this.#claim.end(outcome);
  }

  // ── the lease ─────────────────────────────────────────────────────────────────────────────────────────────────────

  #ask(): void {
    const answer = this.#claim.ask(this.#request.model, this.#priority);
    if (answer.kind === "granted") this.#use(answer);
    else if (answer.kind === "refused") this.#owner.onFailed(answer.failure);
    else this.#owner.onWaiting(answer);
  }

  onGrant(grant: Grant): void {
    this.#owner.guard(() => this.#use(grant));
  }

  onRefusal(reason: Failure): void {
    this.#owner.guard(() => this.#owner.onFailed(reason));
  }

  onRevoked(reason: Failure): void {
    this.#owner.guard(() => {
      this.#crashNotice?.cancel();
      const attempt = this.#attempt;
      // The engine may have done its part already, and only the client is still reading.
      if (attempt !== null && this.#response.isEnded) return this.release(attempt.status < 500 ? "served" : "failed");
      attempt?.cancel();
      if (attempt?.isStarted === true) this.#owner.onBroken(reason);
      else this.#tryAgain(this.#retries.onRevoked(reason), reason);
    });
  }

  // ── the engine ────────────────────────────────────────────────────────────────────────────────────────────────────

  #use(grant: Grant): void {
    const connection = grant.connection();
    if (connection === null) return this.#tryAgain("wait for the crash", this.#unreachable("has just ended"));
    if (!this.#retries.take(connection))
      return this.#owner.onFailed(this.#unreachable("broke the connection each time"));
    this.#attempt = new Attempt(this, this.#response, this.#request, this.#owner.onSending());
    this.#attempt.send(connection);
  }

  onBlocked(): void {
    this.#owner.onBlocked();
  }

  onAnswered({ status }: Attempt): void {
    this.#owner.onAnswered(status);
  }

  onMisplacedAnswer({ status }: Attempt, body: Buffer): void {
    const reason = this.#unreachable(`answered ${status} in place of the stream that was asked for`);
    this.#owner.onMisplacedAnswer(status, body, reason);
  }

  onAttemptFailed(attempt: Attempt, error: unknown): void {
    this.#owner.guard(() => {
      // Between the error and this moment the lease may have been revoked, which ends the attempt, or the client may have gone.
      if (attempt !== this.#attempt || this.#owner.isOver()) return;
      if (isOwnBug(error)) throw error;
      if (attempt.isStarted) {
        const what = `broke off in the middle of its answer (${describeError(error)})`;
        return this.#owner.onBroken(this.#unreachable(what));
      }
      if (attempt.isEngineDying) {
        return this.#tryAgain("wait for the crash", this.#unreachable("answered 500 and is not healthy any more"));
      }
      const what = attempt.mayHaveArrived ? "broke the connection before it answered" : "cannot be reached";
      const reason = this.#unreachable(`${what} (${describeError(error)})`);
      this.#tryAgain(this.#retries.onConnectionFailed(attempt.mayHaveArrived), reason);
    });
  }

  /** Nothing has gone to the client yet. */
  #tryAgain(next: NextTry, reason: Failure): void {
    this.#attempt = null;
    if (next === "give up") return this.#owner.onFailed(reason);
    if (next === "wait for the crash") {
      this.#owner.onWaiting(null);
      // With the lease in hand, the crash will be told to us as its revocation.
      this.#crashNotice = this.#house.clock.after(this.#house.crashNoticeMs, () => {
        this.#owner.guard(() => this.#owner.onFailed(reason));
      });
      return;
    }
    this.release("failed");
    this.#ask();
  }

  /** `what` continues "The engine …". */
  #unreachable(what: string): Failure {
    return failure("engine_unreachable", `The engine of model ${this.#request.model} ${what}.`);
  }
}
