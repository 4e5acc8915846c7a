/** The way of a realtime session to its engine: a place in the queue, the lease that it holds to its end, the engine's handshake. */
import type { Duplex } from "node:stream";
import { failure, type Failure } from "../base/failure.ts";
import type { LeaseOutcome } from "../core/lease.ts";
import type { ModelId, Priority } from "../core/model.ts";
import type { TimerHandle } from "../ports/clock.ts";
import type { ExchangeHouse } from "./exchange-house.ts";
import { LeaseClaim } from "./lease-claim.ts";
import type { Applicant, Grant } from "./lease-desk.ts";
import { RealtimeLink, type LinkOwner, type LinkRequest } from "./realtime-link.ts";
import { Retries } from "./retries.ts";

/** Who goes it. Neither is called after `end`. */
export interface WayOwner {
  onEngine(engine: Duplex): void;
  /** There will be no engine, or there is none any more. */
  onFailed(reason: Failure): void;
  /** Runs a step in which something may go wrong. */
  guard(step: () => void): void;
}

/**
 * | phase        | ends with                                                                                          |
 * |--------------|----------------------------------------------------------------------------------------------------|
 * | "waiting"    | the lease, or its refusal                                                                          |
 * | "connecting" | the engine's 101, or its failure; an engine that crashes is waited for once more                   |
 * | "there"      | the revocation of the lease, or `end`                                                              |
 * | "over"       |                                                                                                    |
 */
export class RealtimeWay implements Applicant, LinkOwner {
  readonly #house: ExchangeHouse;
  readonly #owner: WayOwner;
  readonly #model: ModelId;
  readonly #priority: Priority | undefined;
  readonly #request: LinkRequest;
  readonly #retries = new Retries();
  #phase: "waiting" | "connecting" | "there" | "over" = "waiting";
  readonly #claim: LeaseClaim;
  #link: RealtimeLink | null = null;
  #crashNotice: TimerHandle | null = null;

  constructor(
    house: ExchangeHouse,
    owner: WayOwner,
    to: { readonly model: ModelId; readonly priority: Priority | undefined; readonly request: LinkRequest },
  ) {
    this.#house = house;
    this.#owner = owner;
    this.#model = to.model;
    this.#priority = to.priority;
    this.#request = to.request;
    this.#claim = new LeaseClaim(house, this);
  }

  /** How long it was in the queue so far. */
  get waitedMs(): number {
    return this.#claim.waitedMs;
  }

  /** Whether it ever had a lease. */
  get hadLease(): boolean {
    return this.#claim.hasLease || this.#retries.hasTried;
  }

  begin(): void {
    this.#ask();
  }

  /** Lets go of everything. The engine's connection must be gone before: whoever gets the GPU next must not find it there. */
  end(outcome: LeaseOutcome): void {
    this.#phase = "over";
    this.#crashNotice?.cancel();
    this.#link?.giveUp();
    this.#claim.end(outcome);
  }

  // ── the lease ─────────────────────────────────────────────────────────────────────────────────────────────────────

  #ask(): void {
    this.#phase = "waiting";
    const answer = this.#claim.ask(this.#model, this.#priority);
    if (answer.kind === "granted") this.#connect(answer);
    else if (answer.kind === "refused") this.#owner.onFailed(answer.failure);
  }

  onGrant(grant: Grant): void {
    this.#owner.guard(() => this.#connect(grant));
  }

  onRefusal(reason: Failure): void {
    this.#owner.guard(() => this.#owner.onFailed(reason));
  }

  onRevoked(reason: Failure): void {
    this.#owner.guard(() => {
      if (this.#phase === "over") return this.#claim.release("failed");
      this.#crashNotice?.cancel();
      this.#link?.giveUp();
      if (this.#phase !== "connecting" || this.#retries.onRevoked(reason) === "give up") {
        return this.#owner.onFailed(reason);
      }
      this.#claim.release("failed");
      this.#ask();
    });
  }

  // ── the engine ────────────────────────────────────────────────────────────────────────────────────────────────────

  #connect(grant: Grant): void {
    this.#phase = "connecting";
    const connection = grant.connection();
    if (connection === null || !this.#retries.take(connection)) return this.#awaitCrash("has just ended");
    this.#link = new RealtimeLink(this);
    this.#link.open(connection, this.#request);
  }

  onLinked(engine: Duplex): void {
    this.#owner.guard(() => {
      this.#phase = "there";
      this.#owner.onEngine(engine);
    });
  }

  onUnwilling(what: string): void {
    this.#owner.guard(() => this.#owner.onFailed(this.unreachable(what)));
  }

  onBroken(what: string): void {
    this.#owner.guard(() => this.#awaitCrash(what));
  }

  /** With the lease in hand, a crash will be told to us as its revocation; if none is told, this was the end. */
  #awaitCrash(what: string): void {
    this.#crashNotice?.cancel();
    this.#crashNotice = this.#house.clock.after(this.#house.crashNoticeMs, () => {
      this.#owner.guard(() => this.#owner.onFailed(this.unreachable(what)));
    });
  }

  /** `what` continues "The engine …". */
  unreachable(what: string): Failure {
    return failure("engine_unreachable", `The engine of model ${this.#model} ${what}.`);
  }
}
