/** What one request has of the scheduler: its place in the queue, then its lease; and how long that took. */
import type { Failure } from "../base/failure.ts";
import type { LeaseOutcome } from "../core/lease.ts";
import type { ModelId, Priority } from "../core/model.ts";
import type { ExchangeHouse } from "./exchange-house.ts";
import type { Answer, Applicant, Grant, Waiting } from "./lease-desk.ts";

/** What of the house it needs. */
export type ClaimHouse = Pick<ExchangeHouse, "desk" | "clock" | "lateWork">;

/** Holds at most one of the two at a time; after a release, it may ask again. */
export class LeaseClaim implements Applicant {
  readonly #house: ClaimHouse;
  readonly #owner: Applicant;
  #place: Waiting | null = null;
  #grant: Grant | null = null;
  #waitsSinceMs = 0;
  #waitedMs = 0;
  #wakeMs = 0;

  /** `owner` hears what the desk says, once it is known here. */
  constructor(house: ClaimHouse, owner: Applicant) {
    this.#house = house;
    this.#owner = owner;
  }

  /** Whether it is in the queue. */
  get isWaiting(): boolean {
    return this.#place !== null;
  }

  /** Whether it has a lease that is not released. */
  get hasLease(): boolean {
    return this.#grant !== null;
  }

  /** All waits that are over, in ms, also those that were in vain. */
  get waitedMs(): number {
    return this.#waitedMs;
  }

  /** How much of them was the start or the wake of the model, in ms. */
  get wakeMs(): number {
    return this.#wakeMs;
  }

  /** See `LeaseDesk.request`. */
  ask(model: ModelId, priority: Priority | undefined): Answer {
    const { desk, clock, lateWork } = this.#house;
    // What keeps it out may be over.
    if (lateWork.size > 0 && !desk.letsInAtOnce(model)) lateWork.catchUp();
    const answer = desk.request(model, this, priority);
    if (answer.kind === "granted") this.#grant = answer;
    else if (answer.kind === "waiting") {
      this.#place = answer;
      this.#waitsSinceMs = clock.nowMs();
    }
    return answer;
  }

  onGrant(grant: Grant): void {
    this.#place = null;
    this.#grant = grant;
    // By the scheduler's measure, as the wake that was a part of it.
    this.#waitedMs += grant.lease.waitedMs;
    this.#wakeMs += grant.wakeMs;
    this.#owner.onGrant(grant);
  }

  onRefusal(reason: Failure): void {
    this.#endInVain();
    this.#owner.onRefusal(reason);
  }

  onRevoked(reason: Failure): void {
    this.#owner.onRevoked(reason);
  }

  /** Gives the lease back, if there is one. */
  release(outcome: LeaseOutcome): void {
    const grant = this.#grant;
    this.#grant = null;
    grant?.release(outcome);
  }

  /** Gives back what there is of the two. */
  end(outcome: LeaseOutcome): void {
    const place = this.#place;
    this.#endInVain();
    place?.leave();
    this.release(outcome);
  }

  /** The wait of one who is not let in is told by no lease. */
  #endInVain(): void {
    if (this.#place === null) return;
    this.#place = null;
    this.#waitedMs += this.#house.clock.nowMs() - this.#waitsSinceMs;
  }
}
