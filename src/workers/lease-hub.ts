/** The side of the scheduler to which all workers speak: numbers their requests, knows whose each lease is, and takes back what a dead one had. */
import { assert } from "../base/assert.ts";
import type { Failure } from "../base/failure.ts";
import type { Lease, LeaseId, LeaseOutcome, WaiterId } from "../core/lease.ts";
import type { ModelId, Priority } from "../core/model.ts";
import type { RequestScheduler } from "../gateway/lease-desk.ts";
import type { Clock } from "../ports/clock.ts";
import type { ToWorker } from "./messages.ts";

/** One worker, as the hub sees it. */
export interface LeaseHolder {
  say(message: ToWorker): void;
  /** Comes before each lease for a model. */
  prepare(model: ModelId): void;
}

/** What the hub works with. */
export interface LeaseHubOptions {
  readonly clock: Clock;
  /** Asked for at each use, since the scheduler is made after its effects. */
  readonly scheduler: () => RequestScheduler;
}

interface Waiter {
  readonly holder: LeaseHolder;
  /** What the worker calls it. */
  readonly name: WaiterId;
  readonly model: ModelId;
}

/** What one worker has. */
interface Account {
  /** By the worker's own numbers. */
  readonly waiting: Map<WaiterId, WaiterId>;
  readonly leases: Set<LeaseId>;
}

/** `onGrant`, `onRefuse` and `onRevoke` are the scheduler's effects of the same names. */
export class LeaseHub {
  readonly #options: LeaseHubOptions;
  readonly #accounts = new Map<LeaseHolder, Account>();
  /** In the order of their arrival. */
  readonly #waiters = new Map<WaiterId, Waiter>();
  readonly #holders = new Map<LeaseId, LeaseHolder>();
  #lastWaiterId: WaiterId = 0;

  constructor(options: LeaseHubOptions) {
    this.#options = options;
  }

  /** How many requests wait here. */
  get waiting(): number {
    return this.#waiters.size;
  }

  /** How many leases are out. */
  get leasesOut(): number {
    return this.#holders.size;
  }

  // ── from the workers ──────────────────────────────────────────────────────────────────────────────────────────────

  /** A worker comes to work. */
  join(holder: LeaseHolder): void {
    this.#accounts.set(holder, { waiting: new Map(), leases: new Set() });
  }

  request(holder: LeaseHolder, name: WaiterId, model: ModelId, priority: Priority | undefined): void {
    const waiter = (this.#lastWaiterId += 1);
    this.#waiters.set(waiter, { holder, name, model });
    this.#accountOf(holder).waiting.set(name, waiter);
    this.#options.scheduler().onRequest(waiter, model, this.#options.clock.nowMs(), priority);
  }

  /** Does nothing for one that has been answered: the answer is on its way, and a lease will come back. */
  abandoned(holder: LeaseHolder, name: WaiterId): void {
    const { waiting } = this.#accountOf(holder);
    const waiter = waiting.get(name);
    if (waiter === undefined) return;
    waiting.delete(name);
    this.#waiters.delete(waiter);
    this.#options.scheduler().onAbandoned(waiter, this.#options.clock.nowMs());
  }

  released(holder: LeaseHolder, lease: LeaseId, outcome: LeaseOutcome): void {
    assert(this.#accountOf(holder).leases.delete(lease), `lease ${lease} is released by one who does not have it`);
    this.#holders.delete(lease);
    this.#options.scheduler().onReleased(lease, outcome, this.#options.clock.nowMs());
  }

  /** The worker is gone, and with it its connections to engines. Returns how many requests were lost. */
  leave(holder: LeaseHolder): number {
    const { waiting, leases } = this.#accountOf(holder);
    const lost = waiting.size + leases.size;
    // First all that wait, or one of them might be granted a lease that another one gives back.
    for (const name of waiting.keys()) this.abandoned(holder, name);
    for (const lease of leases) this.released(holder, lease, "failed");
    this.#accounts.delete(holder);
    return lost;
  }

  /** The place of each waiter of this worker among all that wait for the same model, from 1, by their arrival. */
  positionsOf(
    holder: LeaseHolder,
  ): { readonly waiter: WaiterId; readonly model: ModelId; readonly position: number }[] {
    const counts = new Map<ModelId, number>();
    const positions: { waiter: WaiterId; model: ModelId; position: number }[] = [];
    for (const { holder: its, name, model } of this.#waiters.values()) {
      const position = (counts.get(model) ?? 0) + 1;
      counts.set(model, position);
      if (its === holder) positions.push({ waiter: name, model, position });
    }
    return positions;
  }

  // ── from the scheduler ────────────────────────────────────────────────────────────────────────────────────────────

  onGrant(lease: Lease): void {
    const { holder, name } = this.#take(lease.waiter);
    this.#accountOf(holder).leases.add(lease.id);
    this.#holders.set(lease.id, holder);
    holder.prepare(lease.model);
    holder.say({ kind: "granted", lease: { ...lease, waiter: name } });
  }

  onRefuse(waiter: WaiterId, failure: Failure): void {
    const { holder, name } = this.#take(waiter);
    holder.say({ kind: "refused", waiter: name, failure });
  }

  onRevoke(lease: Lease, failure: Failure): void {
    const holder = this.#holders.get(lease.id);
    assert(holder !== undefined, `lease ${lease.id} is revoked, and nobody has it`);
    holder.say({ kind: "revoked", lease, failure });
  }

  #take(id: WaiterId): Waiter {
    const waiter = this.#waiters.get(id);
    assert(waiter !== undefined, `nobody waits as ${id}`);
    this.#waiters.delete(id);
    this.#accountOf(waiter.holder).waiting.delete(waiter.name);
    return waiter;
  }

  #accountOf(holder: LeaseHolder): Account {
    const account = this.#accounts.get(holder);
    assert(account !== undefined, "a worker that is not there");
    return account;
  }
}
