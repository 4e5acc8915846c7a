/** Who waits, who is in, and who was turned away: queues, deadlines and leases. */
import { assert } from "../base/assert.ts";
import { failure, type Failure } from "../base/failure.ts";
import type { Effects } from "./effects.ts";
import type { Engines, ModelRecord } from "./engines.ts";
import type { Lease, LeaseId, LeaseOutcome, WaiterId } from "./lease.ts";
import type { Timers } from "./timers.ts";
import { newWaiter, type Waiter } from "./wait-queue.ts";

/** Owns the waiters and the leases. Every waiter ends exactly once: granted, refused or abandoned. */
export class Admission {
  /** The models for which somebody waits. */
  readonly waitingModels = new Set<ModelRecord>();
  readonly #waiters = new Map<WaiterId, Waiter>();
  /** Leases of an engine that is gone: they count for nothing but must still be handed in once. */
  readonly #voidLeases = new Map<LeaseId, Lease>();
  readonly #leaseOwners = new Map<LeaseId, ModelRecord>();
  /** Leases that were asked back and are not handed in yet. */
  readonly #revoked = new Set<LeaseId>();
  readonly #effects: Effects;
  readonly #engines: Engines;
  readonly #timers: Timers;
  readonly #requestTimeoutMs: number;
  #lastLeaseId = 0;

  constructor(options: { effects: Effects; engines: Engines; timers: Timers; requestTimeoutMs: number }) {
    this.#effects = options.effects;
    this.#engines = options.engines;
    this.#timers = options.timers;
    this.#requestTimeoutMs = options.requestTimeoutMs;
  }

  get waiting(): number {
    return this.#waiters.size;
  }

  /** Leases that are out, those of engines that are gone included. */
  get leasesOut(): number {
    return this.#leaseOwners.size + this.#voidLeases.size;
  }

  /** Leases among them that were asked back. */
  get revokedOut(): number {
    return this.#revoked.size;
  }

  enqueue(
    id: WaiterId,
    record: ModelRecord,
    nowMs: number,
    onTimeout: (record: ModelRecord, nowMs: number) => void,
  ): void {
    assert(!this.#waiters.has(id), `waiter ${id} waits already`);
    const waiter = newWaiter(id, record.spec.id, nowMs);
    this.#waiters.set(id, waiter);
    record.queue.push(waiter);
    this.waitingModels.add(record);
    waiter.deadline = this.#timers.add(nowMs + this.#requestTimeoutMs, (atMs) => {
      this.#refuseWaiter(waiter, record, this.#timedOut(record), atMs);
      onTimeout(record, atMs);
    });
    const depth = record.queue.length;
    this.#engines.journal({ kind: "request queued", model: record.spec.id, waiter: id, depth }, nowMs);
  }

  /** Lets one request in that never waited. */
  grantAtOnce(id: WaiterId, record: ModelRecord, nowMs: number): void {
    this.#grant(id, record, 0, nowMs);
  }

  /** Whether one more request may be let in now. */
  hasRoom(record: ModelRecord): boolean {
    return record.leases.size < (record.spec.inFlightMax ?? Infinity);
  }

  /** Lets in all that wait, or as many as may be in at once, oldest first. */
  grantWaiting(record: ModelRecord, nowMs: number): void {
    for (let waiter = record.queue.oldest; waiter !== null && this.hasRoom(record); waiter = record.queue.oldest) {
      this.#leaveQueue(waiter, record);
      this.#grant(waiter.id, record, nowMs - waiter.enqueuedAtMs, nowMs);
    }
  }

  /** Turns away one request that never waited. */
  refuseAtOnce(id: WaiterId, record: ModelRecord, reason: Failure, nowMs: number): void {
    const model = record.spec.id;
    this.#engines.journal({ kind: "request refused", model, waiter: id, waitedMs: 0, failure: reason }, nowMs);
    this.#effects.refuse(id, reason);
  }

  refuseAllWaiting(record: ModelRecord, reason: Failure, nowMs: number): void {
    for (let waiter = record.queue.oldest; waiter !== null; waiter = record.queue.oldest) {
      this.#refuseWaiter(waiter, record, reason, nowMs);
    }
  }

  /** Returns the record whose queue it left, or null when it did not wait (any more). */
  abandon(id: WaiterId, nowMs: number): ModelRecord | null {
    const waiter = this.#waiters.get(id);
    if (waiter === undefined) return null;
    const record = this.#engines.get(waiter.model);
    this.#leaveQueue(waiter, record);
    const waitedMs = nowMs - waiter.enqueuedAtMs;
    this.#engines.journal({ kind: "request abandoned", model: waiter.model, waiter: id, waitedMs }, nowMs);
    return record;
  }

  /** Returns the record whose lease it was, or null when its engine was gone before. */
  release(id: LeaseId, outcome: LeaseOutcome, nowMs: number): ModelRecord | null {
    const record = this.#leaseOwners.get(id) ?? null;
    const lease = record === null ? this.#voidLeases.get(id) : record.leases.get(id);
    assert(lease !== undefined, `lease ${id} is released twice, or was never granted`);
    this.#voidLeases.delete(id);
    this.#leaseOwners.delete(id);
    this.#revoked.delete(id);
    record?.leases.delete(id);
    const heldMs = nowMs - lease.grantedAtMs;
    this.#engines.journal({ kind: "lease released", model: lease.model, outcome, heldMs }, nowMs);
    return record;
  }

  /** Asks for all leases back, for each once. They stay out until their holders hand them in. */
  revokeAll(record: ModelRecord, reason: Failure, nowMs: number): void {
    for (const lease of record.leases.values()) {
      if (this.#revoked.has(lease.id)) continue;
      this.#revoked.add(lease.id);
      this.#engines.journal({ kind: "lease revoked", model: record.spec.id, failure: reason }, nowMs);
      this.#effects.revoke(lease, reason);
    }
  }

  /** Asks for all leases back and stops counting them: their engine is gone. */
  voidAll(record: ModelRecord, reason: Failure, nowMs: number): void {
    this.revokeAll(record, reason, nowMs);
    for (const lease of record.leases.values()) {
      this.#leaseOwners.delete(lease.id);
      this.#voidLeases.set(lease.id, lease);
    }
    record.leases.clear();
  }

  #grant(waiter: WaiterId, record: ModelRecord, waitedMs: number, nowMs: number): void {
    assert(record.state.kind === "awake", `${record.spec.id} is ${record.state.kind}, and a request was let in`);
    this.#lastLeaseId += 1;
    const lease: Lease = { id: this.#lastLeaseId, waiter, model: record.spec.id, grantedAtMs: nowMs, waitedMs };
    record.leases.set(lease.id, lease);
    this.#leaseOwners.set(lease.id, record);
    this.#engines.journal({ kind: "request granted", model: lease.model, waiter, waitedMs }, nowMs);
    this.#effects.grant(lease);
  }

  #refuseWaiter(waiter: Waiter, record: ModelRecord, reason: Failure, nowMs: number): void {
    this.#leaveQueue(waiter, record);
    const waitedMs = nowMs - waiter.enqueuedAtMs;
    const model = waiter.model;
    this.#engines.journal({ kind: "request refused", model, waiter: waiter.id, waitedMs, failure: reason }, nowMs);
    this.#effects.refuse(waiter.id, reason);
  }

  #leaveQueue(waiter: Waiter, record: ModelRecord): void {
    this.#waiters.delete(waiter.id);
    this.#timers.cancel(waiter.deadline);
    record.queue.remove(waiter);
    if (record.queue.length === 0) this.waitingModels.delete(record);
  }

  #timedOut(record: ModelRecord): Failure {
    const limit = `${this.#requestTimeoutMs / 1000} s`;
    if (record.state.kind === "awake") {
      const full = `as many requests as it runs at once (${record.leases.size}) were in front`;
      return failure("queue_timeout", `model ${record.spec.id} is awake, but for ${limit} ${full}`);
    }
    return failure(
      "queue_timeout",
      `model ${record.spec.id} was not awake within ${limit}: ${this.#whatKeeps(record)}`,
    );
  }

  /** What a waiter has waited for, in words that tell its client what to do. */
  #whatKeeps(record: ModelRecord): string {
    const { kind } = record.state;
    if (kind === "starting" || kind === "waking") return `its engine is ${kind}, and that goes on: ask again`;
    const change = record.switch;
    if (change?.phase === "draining" && change.target === record.spec.id) {
      const running = change.victims.map((id) => `${this.#engines.get(id).leases.size} of ${id}`).join(", ");
      return `requests that must end before are still running (${running})`;
    }
    return this.#engines.devices.obstacleFor(record.spec) ?? `its engine is ${kind}`;
  }
}
