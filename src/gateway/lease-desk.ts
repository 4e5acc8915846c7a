/**
 * The gateway's side of the scheduler: numbers the requests, hands them their leases and takes the leases back. What the
 * scheduler says is passed on when it has finished speaking, so that no answer to it can arrive in the middle.
 */
import { assert } from "../base/assert.ts";
import type { Failure } from "../base/failure.ts";
import type { JournalEntry } from "../core/journal.ts";
import type { Lease, LeaseId, LeaseOutcome, WaiterId } from "../core/lease.ts";
import type { ModelId, Priority } from "../core/model.ts";
import type { Scheduler } from "../core/scheduler.ts";
import type { Clock } from "../ports/clock.ts";
import type { EngineConnection, EngineInfo, StartProgress } from "../ports/engine-directory.ts";

/** Who asks for leases. None of these is called while `request` runs. */
export interface Applicant {
  /** The wait has ended well. */
  onGrant(grant: Grant): void;
  /** The wait has ended badly. */
  onRefusal(failure: Failure): void;
  /** The lease must be released soon: its engine is gone, or its time is over. */
  onRevoked(failure: Failure): void;
}

/** What the desk says at once. */
export type Answer = Grant | Waiting | { readonly kind: "refused"; readonly failure: Failure };

/** The events of the scheduler that the desk sends. */
export interface RequestScheduler extends Pick<Scheduler, "onAbandoned" | "onReleased"> {
  /** Without a priority, the model's own counts. */
  onRequest(waiter: WaiterId, model: ModelId, nowMs: number, priority?: Priority): void;
  /** Whether a request would be granted at once, as far as is known here. */
  letsInAtOnce(model: ModelId): boolean;
}

/** What the desk wants to know of engines. */
export interface EnginesInSight {
  /** Null while there is none. */
  connection(model: ModelId): EngineConnection | null;
  info(model: ModelId): Pick<EngineInfo, "progress">;
}

/** What the desk works with. */
export interface LeaseDeskOptions {
  readonly clock: Clock;
  /** Asked for at each use, since the scheduler is made after its effects, and those need the desk. */
  readonly scheduler: () => RequestScheduler;
  readonly directory: EnginesInSight;
}

/** One instance per gateway. `onGrant`, `onRefuse` and `onRevoke` are the scheduler's effects of the same names. */
export class LeaseDesk {
  readonly #clock: Clock;
  readonly #scheduler: () => RequestScheduler;
  readonly #directory: EnginesInSight;
  readonly #waiting = new Map<WaiterId, Waiting>();
  readonly #grants = new Map<LeaseId, Grant>();
  /** The last start or wake of each model that came to a good end. */
  readonly #wakes = new Map<ModelId, { readonly beganAtMs: number; readonly endedAtMs: number }>();
  #lastWaiterId = 0;
  /** The request that the scheduler is being asked about, and what it has said so far. */
  #asking: { readonly waiter: WaiterId; readonly applicant: Applicant } | null = null;
  #answer: Answer | null = null;

  constructor(options: LeaseDeskOptions) {
    this.#clock = options.clock;
    this.#scheduler = options.scheduler;
    this.#directory = options.directory;
  }

  /** How many requests wait here, for those who check that nobody is forgotten. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /** How many leases are out. */
  get leasesOut(): number {
    return this.#grants.size;
  }

  /** Everybody's place among those who wait for the same model, from 1, by their arrival. */
  positions(): ReadonlyMap<Waiting, number> {
    const counts = new Map<ModelId, number>();
    const positions = new Map<Waiting, number>();
    for (const waiting of this.#waiting.values()) {
      const position = (counts.get(waiting.model) ?? 0) + 1;
      counts.set(waiting.model, position);
      positions.set(waiting, position);
    }
    return positions;
  }

  /** Null when nobody waits under this number (any more). */
  waitingAs(waiter: WaiterId): Waiting | null {
    return this.#waiting.get(waiter) ?? null;
  }

  /** Whether a request for this model would get its lease at once. */
  letsInAtOnce(model: ModelId): boolean {
    return this.#scheduler().letsInAtOnce(model);
  }

  /** Whether the lease is out. */
  hasOut(lease: LeaseId): boolean {
    return this.#grants.has(lease);
  }

  /** How far the start of a model's engine has come; null unless it is starting. */
  progressOf(model: ModelId): StartProgress | null {
    return this.#directory.info(model).progress;
  }

  /** To be told what the scheduler's journal says: it is known from there how long a start or a wake took. */
  onJournal(entry: JournalEntry): void {
    if (entry.kind !== "state changed" || entry.to.kind !== "awake") return;
    if (entry.from !== "starting" && entry.from !== "waking") return;
    this.#wakes.set(entry.model, { beganAtMs: entry.atMs - entry.lastedMs, endedAtMs: entry.atMs });
  }

  /** How much of the wait for this lease its model spent with starting or waking, in ms. */
  wakeMsOf(lease: Lease): number {
    const wake = this.#wakes.get(lease.model);
    if (wake === undefined || lease.waitedMs === 0) return 0;
    const fromMs = Math.max(wake.beganAtMs, lease.grantedAtMs - lease.waitedMs);
    return Math.max(0, Math.min(wake.endedAtMs, lease.grantedAtMs) - fromMs);
  }

  /** Asks for a lease. Unless the answer is "waiting", the applicant hears of it only by a revocation. */
  request(model: ModelId, applicant: Applicant, priority?: Priority): Answer {
    assert(this.#asking === null, "a request was made while another one was being made");
    const waiter = (this.#lastWaiterId += 1);
    this.#asking = { waiter, applicant };
    this.#answer = null;
    try {
      this.#scheduler().onRequest(waiter, model, this.#clock.nowMs(), priority);
      if (this.#answer !== null) return this.#answer;
    } finally {
      this.#asking = null;
      this.#answer = null;
    }
    const waiting = new Waiting(model, applicant, (left) => this.#leave(waiter, left));
    this.#waiting.set(waiter, waiting);
    return waiting;
  }

  onGrant(lease: Lease): void {
    if (this.#asking?.waiter === lease.waiter) {
      this.#answer = this.#newGrant(lease, this.#asking.applicant);
      return;
    }
    const waiting = this.#take(lease.waiter);
    const grant = this.#newGrant(lease, waiting.applicant);
    queueMicrotask(() => {
      // Its client may have gone in this very moment.
      if (waiting.hasLeft) grant.release("abandoned");
      else waiting.applicant.onGrant(grant);
    });
  }

  onRefuse(waiter: WaiterId, failure: Failure): void {
    if (this.#asking?.waiter === waiter) {
      this.#answer = { kind: "refused", failure };
      return;
    }
    const waiting = this.#take(waiter);
    queueMicrotask(() => {
      if (!waiting.hasLeft) waiting.applicant.onRefusal(failure);
    });
  }

  onRevoke(lease: Lease, failure: Failure): void {
    const grant = this.#grants.get(lease.id);
    assert(grant !== undefined, `lease ${lease.id} is revoked, and nobody has it`);
    queueMicrotask(() => grant.revoke(failure));
  }

  #newGrant(lease: Lease, applicant: Applicant): Grant {
    const grant = new Grant(lease, applicant, this);
    this.#grants.set(lease.id, grant);
    return grant;
  }

  #take(waiter: WaiterId): Waiting {
    const waiting = this.#waiting.get(waiter);
    assert(waiting !== undefined, () => `nobody waits as ${waiter}`);
    this.#waiting.delete(waiter);
    return waiting;
  }

  #leave(waiter: WaiterId, left: Waiting): void {
    // Otherwise it has been answered already, and the answer is on its way.
    if (this.#waiting.get(waiter) !== left) return;
    this.#waiting.delete(waiter);
    this.#scheduler().onAbandoned(waiter, this.#clock.nowMs());
  }

  /** For `Grant` alone. */
  connectionOf(lease: Lease): EngineConnection | null {
    return this.#directory.connection(lease.model);
  }

  /** For `Grant` alone. */
  release(lease: Lease, outcome: LeaseOutcome): void {
    this.#grants.delete(lease.id);
    this.#scheduler().onReleased(lease.id, outcome, this.#clock.nowMs());
  }
}

/** A lease in the hands of a request. It must be released exactly once. */
export class Grant {
  readonly kind = "granted";
  readonly lease: Lease;
  readonly #desk: LeaseDesk;
  /** Null when it has been released. Kept no longer, since the tables of a map hold what they held (see `Chain`). */
  #applicant: Applicant | null;

  constructor(lease: Lease, applicant: Applicant, desk: LeaseDesk) {
    this.lease = lease;
    this.#applicant = applicant;
    this.#desk = desk;
  }

  /** Tells who has it, unless it has been released. */
  revoke(failure: Failure): void {
    this.#applicant?.onRevoked(failure);
  }

  /** How much of the wait was the start or the wake of the model, in ms. */
  get wakeMs(): number {
    return this.#desk.wakeMsOf(this.lease);
  }

  /** Where the engine is; null when it has just gone and the scheduler is yet to hear of it. */
  connection(): EngineConnection | null {
    return this.#desk.connectionOf(this.lease);
  }

  /** Throws `AssertionError` at the second call. */
  release(outcome: LeaseOutcome): void {
    assert(this.#applicant !== null, () => `lease ${this.lease.id} is released twice`);
    this.#applicant = null;
    this.#desk.release(this.lease, outcome);
  }
}

/** A request in the queue. */
export class Waiting {
  readonly kind = "waiting";
  readonly model: ModelId;
  readonly applicant: Applicant;
  readonly #onLeave: (left: Waiting) => void;
  #hasLeft = false;

  constructor(model: ModelId, applicant: Applicant, onLeave: (left: Waiting) => void) {
    this.model = model;
    this.applicant = applicant;
    this.#onLeave = onLeave;
  }

  get hasLeft(): boolean {
    return this.#hasLeft;
  }

  /** The client has gone. The applicant hears nothing more; a grant that is on its way goes back at once. */
  leave(): void {
    if (this.#hasLeft) return;
    this.#hasLeft = true;
    this.#onLeave(this);
  }
}
