/** Who waits, who is in, and who was turned away: queues, deadlines and leases. */
import { assert } from "../base/assert.ts";
import { failure, type Failure } from "../base/failure.ts";
import type { Effects } from "./effects.ts";
import type { Engines, ModelRecord } from "./engines.ts";
import { expectedWaitMs } from "./expected-wait.ts";
import type { Lease, LeaseId, LeaseOutcome, WaiterId } from "./lease.ts";
import type { Priority } from "./model.ts";
import { PRIORITY_WEIGHT } from "./priority.ts";
import type { SwitchCosts } from "./switch-cost.ts";
import type { Timers } from "./timers.ts";
import { newWaiter, type Waiter } from "./wait-queue.ts";

interface Parts {
  readonly effects: Effects;
  readonly engines: Engines;
  readonly timers: Timers;
  readonly costs: SwitchCosts;
  readonly requestTimeoutMs: number;
  /** How many may wait in all; Infinity: no limit. */
  readonly queueMax: number;
  /** Why a model cannot come up now, in words; null when it could. */
  readonly obstacleFor: (record: ModelRecord, nowMs: number) => string | null;
}

/** Weight of the newest measurement of how long leases are held. */
const NEWEST_SHARE = 0.1;

/** Owns the waiters and the leases. Every waiter ends exactly once: granted, refused or abandoned. */
export class Admission {
  readonly #waiters = new Map<WaiterId, Waiter>();
  /** Leases of an engine that is gone: they count for nothing but must still be handed in once. */
  readonly #voidLeases = new Map<LeaseId, Lease>();
  readonly #leaseOwners = new Map<LeaseId, ModelRecord>();
  /** Leases that were asked back and are not handed in yet. */
  readonly #revoked = new Set<LeaseId>();
  readonly #parts: Parts;
  #lastLeaseId = 0;

  constructor(parts: Parts) {
    this.#parts = parts;
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

  /** Why one more request must not wait for this model, with the time after which it makes sense to ask again; null when it may. */
  reasonToRefuse(record: ModelRecord, priority: Priority, nowMs: number): Failure | null {
    const { costs, requestTimeoutMs, queueMax } = this.#parts;
    const { id, queueMax: ownMax } = record.spec;
    const expectedMs = expectedWaitMs(record, priority, costs, nowMs);
    const depth = record.queue.length;
    const full =
      ownMax !== undefined && depth >= ownMax
        ? `${depth} requests wait for model ${id}, and no more may`
        : this.#waiters.size >= queueMax
          ? `${this.#waiters.size} requests wait for all models together, and no more may`
          : null;
    if (full !== null) {
      const retryAfterMs = Math.max(RETRY_AFTER_MIN_MS, Math.min(expectedMs, requestTimeoutMs));
      return failure("queue_full", full, { retryAfterMs });
    }
    // The first one to ask is never refused: somebody must be there for the model to be brought up.
    const isWanted = depth > 0 || record.state.kind === "starting" || record.state.kind === "waking";
    if (!isWanted || expectedMs <= requestTimeoutMs) return null;
    const inFront = record.queue.countInFrontOf(priority);
    const message =
      `a request for model ${id} would wait for ${seconds(expectedMs)}, and may for ${seconds(requestTimeoutMs)}` +
      (inFront > 0 ? ` (${inFront} in front of it)` : "");
    return failure("wait_too_long", message, {
      retryAfterMs: Math.max(RETRY_AFTER_MIN_MS, expectedMs - requestTimeoutMs),
    });
  }

  enqueue(
    id: WaiterId,
    record: ModelRecord,
    priority: Priority,
    nowMs: number,
    onTimeout: (record: ModelRecord, nowMs: number) => void,
  ): void {
    const { timers, engines, requestTimeoutMs } = this.#parts;
    assert(!this.#waiters.has(id), () => `waiter ${id} waits already`);
    const waiter = newWaiter(id, record.spec.id, nowMs, priority);
    this.#waiters.set(id, waiter);
    record.queue.push(waiter);
    record.island.waiting.add(record);
    waiter.deadline = timers.add(nowMs + requestTimeoutMs, (atMs) => {
      this.#refuseWaiter(waiter, record, this.#timedOut(record, atMs), atMs);
      onTimeout(record, atMs);
    });
    const depth = record.queue.length;
    engines.journal({ kind: "request queued", model: record.spec.id, waiter: id, depth }, nowMs);
  }

  /** Lets one request in that never waited. */
  grantAtOnce(id: WaiterId, record: ModelRecord, priority: Priority, nowMs: number): void {
    this.#grant(id, record, priority, 0, nowMs);
  }

  /** Whether one more request may be let in now. */
  hasRoom(record: ModelRecord): boolean {
    return record.leases.size < (record.spec.inFlightMax ?? Infinity);
  }

  /** Lets in all that wait, or as many as may be in at once. */
  grantWaiting(record: ModelRecord, nowMs: number): void {
    for (let waiter = record.queue.next; waiter !== null && this.hasRoom(record); waiter = record.queue.next) {
      this.#leaveQueue(waiter, record);
      this.#grant(waiter.id, record, waiter.priority, nowMs - waiter.enqueuedAtMs, nowMs);
    }
  }

  /** Turns away one request that never waited. */
  refuseAtOnce(id: WaiterId, record: ModelRecord, reason: Failure, nowMs: number): void {
    const { engines, effects } = this.#parts;
    const model = record.spec.id;
    engines.journal({ kind: "request refused", model, waiter: id, waitedMs: 0, failure: reason }, nowMs);
    effects.refuse(id, reason);
  }

  refuseAllWaiting(record: ModelRecord, reason: Failure, nowMs: number): void {
    for (let waiter = record.queue.next; waiter !== null; waiter = record.queue.next) {
      this.#refuseWaiter(waiter, record, reason, nowMs);
    }
  }

  /** Returns the record whose queue it left and whether it was the oldest there; null when it did not wait (any more). */
  abandon(id: WaiterId, nowMs: number): { readonly record: ModelRecord; readonly wasOldest: boolean } | null {
    const { engines } = this.#parts;
    const waiter = this.#waiters.get(id);
    if (waiter === undefined) return null;
    const record = engines.get(waiter.model);
    const wasOldest = record.queue.oldest === waiter;
    this.#leaveQueue(waiter, record);
    const waitedMs = nowMs - waiter.enqueuedAtMs;
    engines.journal({ kind: "request abandoned", model: waiter.model, waiter: id, waitedMs }, nowMs);
    return { record, wasOldest };
  }

  /** Returns the record whose lease it was, or null when its engine was gone before. */
  release(id: LeaseId, outcome: LeaseOutcome, nowMs: number): ModelRecord | null {
    const record = this.#leaseOwners.get(id) ?? null;
    const lease = record === null ? this.#voidLeases.get(id) : record.leases.get(id);
    assert(lease !== undefined, () => `lease ${id} is released twice, or was never granted`);
    this.#voidLeases.delete(id);
    this.#leaseOwners.delete(id);
    this.#revoked.delete(id);
    const heldMs = nowMs - lease.grantedAtMs;
    if (record !== null) {
      record.leases.delete(id);
      countLease(record, lease, -1);
      record.lastUsedAtMs = nowMs;
      const before = record.heldAverageMs;
      if (outcome === "served")
        record.heldAverageMs = before === null ? heldMs : before + NEWEST_SHARE * (heldMs - before);
      if (record.leases.size === 0) this.resume(record);
    }
    this.#parts.engines.journal({ kind: "lease released", model: lease.model, outcome, heldMs }, nowMs);
    return record;
  }

  /** What runs on it stands still from now on, and waits like those at the end of the queue. */
  suspend(record: ModelRecord, nowMs: number): void {
    const { engines, timers, requestTimeoutMs } = this.#parts;
    record.suspendedSinceMs = nowMs;
    record.island.waiting.add(record);
    // Whoever waits in the middle of an answer waits no longer than others.
    record.suspendedTimer = timers.add(nowMs + requestTimeoutMs, (atMs) => {
      const message = `model ${record.spec.id} had to make room, and could not go on within ${seconds(requestTimeoutMs)}`;
      this.revokeAll(record, failure("drain_timeout", message), atMs);
    });
    engines.journal({ kind: "requests suspended", model: record.spec.id, requests: record.leases.size }, nowMs);
  }

  /** What stood still goes on, or has ended. */
  resume(record: ModelRecord): void {
    record.suspendedSinceMs = null;
    this.#parts.timers.cancel(record.suspendedTimer);
    record.suspendedTimer = null;
    if (record.queue.length === 0) record.island.waiting.delete(record);
  }

  /** Asks for all leases back, for each once. They stay out until their holders hand them in. */
  revokeAll(record: ModelRecord, reason: Failure, nowMs: number): void {
    for (const lease of record.leases.values()) {
      if (this.#revoked.has(lease.id)) continue;
      this.#revoked.add(lease.id);
      this.#parts.engines.journal({ kind: "lease revoked", model: record.spec.id, failure: reason }, nowMs);
      this.#parts.effects.revoke(lease, reason);
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
    record.leaseWeight = record.pressingLeaseWeight = 0;
    this.resume(record);
  }

  #grant(waiter: WaiterId, record: ModelRecord, priority: Priority, waitedMs: number, nowMs: number): void {
    const model = record.spec.id;
    assert(record.state.kind === "awake", `${model} is ${record.state.kind}, and a request was let in`);
    this.#lastLeaseId += 1;
    const lease: Lease = { id: this.#lastLeaseId, waiter, model, priority, grantedAtMs: nowMs, waitedMs };
    record.leases.set(lease.id, lease);
    countLease(record, lease, 1);
    record.lastUsedAtMs = nowMs;
    this.#leaseOwners.set(lease.id, record);
    this.#parts.engines.journal({ kind: "request granted", model, waiter, waitedMs }, nowMs);
    this.#parts.effects.grant(lease);
  }

  #refuseWaiter(waiter: Waiter, record: ModelRecord, reason: Failure, nowMs: number): void {
    const { engines, effects } = this.#parts;
    this.#leaveQueue(waiter, record);
    const waitedMs = nowMs - waiter.enqueuedAtMs;
    const model = waiter.model;
    engines.journal({ kind: "request refused", model, waiter: waiter.id, waitedMs, failure: reason }, nowMs);
    effects.refuse(waiter.id, reason);
  }

  #leaveQueue(waiter: Waiter, record: ModelRecord): void {
    this.#waiters.delete(waiter.id);
    this.#parts.timers.cancel(waiter.deadline);
    record.queue.remove(waiter);
    if (record.queue.length === 0 && record.suspendedSinceMs === null) record.island.waiting.delete(record);
  }

  #timedOut(record: ModelRecord, nowMs: number): Failure {
    const limit = `${this.#parts.requestTimeoutMs / 1000} s`;
    if (record.state.kind === "awake") {
      const full = `as many requests as it runs at once (${record.leases.size}) were in front`;
      return failure("queue_timeout", `model ${record.spec.id} is awake, but for ${limit} ${full}`);
    }
    return failure(
      "queue_timeout",
      `model ${record.spec.id} was not awake within ${limit}: ${this.#whatKeeps(record, nowMs)}`,
    );
  }

  /** What a waiter has waited for, in words that tell its client what to do. */
  #whatKeeps(record: ModelRecord, nowMs: number): string {
    const { engines, obstacleFor } = this.#parts;
    const { kind } = record.state;
    if (kind === "starting" || kind === "waking") return `its engine is ${kind}, and that goes on: ask again`;
    const change = record.switch;
    if (change?.phase === "draining" && change.target === record.spec.id) {
      const running = change.victims.map((id) => `${engines.get(id).leases.size} of ${id}`).join(", ");
      return `requests that must end before are still running (${running})`;
    }
    return obstacleFor(record, nowMs) ?? `its engine is ${kind}`;
  }
}

function countLease(record: ModelRecord, { priority }: Lease, sign: 1 | -1): void {
  const weight = sign * PRIORITY_WEIGHT[priority];
  record.leaseWeight += weight;
  if (priority !== "low") record.pressingLeaseWeight += weight;
}

/** Whoever is turned away is not asked to come back sooner. */
const RETRY_AFTER_MIN_MS = 1_000;

function seconds(durationMs: number): string {
  return `${Number((durationMs / 1000).toPrecision(3))} s`;
}
