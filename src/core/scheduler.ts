/**
 * Decides which models are awake and when that changes. Synchronous, without clock, timers or I/O: events come in, each
 * with its time, effects go out. It is the only writer of this state; everyone else sends events and reads snapshots.
 */
import { assert } from "../base/assert.ts";
import type { Failure } from "../base/failure.ts";
import { boundOn } from "./bound.ts";
import type { Effects } from "./effects.ts";
import { withRetryAfter } from "./endings.ts";
import type { ModelRecord } from "./engines.ts";
import { assertInvariants } from "./invariants.ts";
import type { LeaseId, LeaseOutcome, WaiterId } from "./lease.ts";
import { takeMeasurement, type MemoryMeasurement } from "./memory.ts";
import type { ModelId, ModelSpec, Priority } from "./model.ts";
import type { OperatorCommand } from "./operator.ts";
import { isUsed } from "./placement.ts";
import type { Policy, Verdict } from "./policy.ts";
import { buildRooms, type Rooms } from "./rooms.ts";
import type { SchedulerOptions } from "./scheduler-options.ts";
import { SHUTTING_DOWN } from "./shutdown.ts";
import { takeSnapshot, type Snapshot } from "./snapshot.ts";
import type { SwitchCostEntry } from "./switch-cost.ts";
import { isWanted } from "./switches.ts";

export type { SchedulerOptions } from "./scheduler-options.ts";

/** One instance per gateway. `nowMs` of each event is a monotonic clock in ms and never goes back. */
export class Scheduler {
  readonly #rooms: Rooms;
  readonly #effects: Effects;
  readonly #policy: Policy;
  #armedAtMs: number | null = null;
  #nowMs: number;

  constructor(models: readonly ModelSpec[], options: SchedulerOptions, effects: Effects, nowMs: number) {
    this.#rooms = buildRooms(models, options, effects, nowMs);
    this.#effects = effects;
    this.#policy = options.policy;
    this.#nowMs = nowMs;
  }

  /** Engines can be started from now on: what is to be there before anybody asks comes up. To be called once. */
  onStarted(nowMs: number): void {
    this.#enter(nowMs);
    const { engines, preloads, idle } = this.#rooms;
    preloads.begin();
    for (const record of engines.all()) idle.rests(record, nowMs);
    this.#leave();
  }

  // ── requests ──────────────────────────────────────────────────────────────────────────────────────────────────────

  /** A request has arrived. Answered by `grant` or `refuse`, perhaps before this returns. */
  onRequest(waiter: WaiterId, model: ModelId, nowMs: number, priority?: Priority): void {
    this.#enter(nowMs);
    const { admission, engines, deciding, shutdown } = this.#rooms;
    const record = engines.get(model);
    const weighs = priority ?? record.spec.priority ?? "normal";
    if (shutdown.phase !== "running") admission.refuseAtOnce(waiter, record, SHUTTING_DOWN, nowMs);
    else if (record.state.kind === "awake" && admission.hasRoom(record)) {
      admission.grantAtOnce(waiter, record, weighs, nowMs);
      deciding.granted(record, nowMs);
    } else if (record.lastFailure !== null && record.retryAtMs > nowMs) {
      admission.refuseAtOnce(waiter, record, withRetryAfter(record.lastFailure, record.retryAtMs - nowMs), nowMs);
    } else {
      const reason = admission.reasonToRefuse(record, weighs, nowMs);
      if (reason === null) this.#enqueue(waiter, record, weighs, nowMs);
      else admission.refuseAtOnce(waiter, record, reason, nowMs);
    }
    this.#leave();
  }

  /** Whether a request for this model would be granted at once. */
  letsInAtOnce(model: ModelId): boolean {
    const { engines, admission, shutdown } = this.#rooms;
    const record = engines.get(model);
    return shutdown.phase === "running" && record.state.kind === "awake" && admission.hasRoom(record);
  }

  /** The client of a waiting request has gone. Does nothing if it does not wait any more. */
  onAbandoned(waiter: WaiterId, nowMs: number): void {
    this.#enter(nowMs);
    const left = this.#rooms.admission.abandon(waiter, nowMs);
    if (left !== null) this.#onLeft(left.record, left.wasOldest, nowMs);
    this.#leave();
  }

  /** A granted request is over. To be called exactly once for each lease. */
  onReleased(lease: LeaseId, outcome: LeaseOutcome, nowMs: number): void {
    this.#enter(nowMs);
    const { admission, drains, deciding, idle, shutdown } = this.#rooms;
    const record = admission.release(lease, outcome, nowMs);
    if (record !== null) {
      if (outcome === "served") record.failuresInRow = 0;
      if (record.state.kind === "awake") admission.grantWaiting(record, nowMs);
      if (record.state.kind === "draining" && record.leases.size === 0) drains.ended(record, nowMs);
      // Those that stood still have gone: perhaps nobody wants it awake any more.
      else if (record.state.kind === "asleep" && !isWanted(record)) this.#onLeft(record, true, nowMs);
      deciding.released(record, nowMs);
      idle.rests(record, nowMs);
    }
    shutdown.finishIfDone(nowMs);
    this.#leave();
  }

  // ── engines ───────────────────────────────────────────────────────────────────────────────────────────────────────

  /** A start or a wake has succeeded. */
  onAwake(model: ModelId, nowMs: number): void {
    this.#enter(nowMs);
    const { engines, admission, switches, deciding, preloads, orders, idle } = this.#rooms;
    const record = engines.get(model);
    admission.resume(record);
    engines.open(record, nowMs);
    const cause = switches.ended(record, nowMs);
    // Those let in hold their leases before the next switch is considered; otherwise two busy models would take turns
    // without serving anyone.
    admission.grantWaiting(record, nowMs);
    deciding.changed(record);
    preloads.done(record);
    preloads.changed();
    if (cause === "preload" && record.spec.pinned !== true && !isUsed(record)) orders.putToSleep(record, nowMs);
    idle.rests(record, nowMs);
    this.#leave();
  }

  /** A start or a wake has failed. The engine is stopped, those that wait get the reason, the next try backs off. */
  onWakeFailed(model: ModelId, reason: Failure, nowMs: number): void {
    this.#enter(nowMs);
    const record = this.#rooms.engines.get(model);
    const { kind } = record.state;
    assert(kind === "starting" || kind === "waking", `${model} failed to wake in state ${kind}`);
    this.#rooms.endings.wakeFailed(record, reason, nowMs);
    this.#leave();
  }

  onAsleep(model: ModelId, nowMs: number): void {
    this.#enter(nowMs);
    const { engines, host, switches, deciding, preloads, idle } = this.#rooms;
    const record = engines.get(model);
    engines.asleep(record, nowMs);
    host.onAsleep(record);
    switches.settled(nowMs);
    deciding.changed(record);
    preloads.changed();
    idle.rests(record, nowMs);
    this.#leave();
  }

  /** The engine did not fall asleep, or its memory did not come free: it is stopped, so that the memory surely is. */
  onSleepFailed(model: ModelId, reason: Failure, nowMs: number): void {
    this.#enter(nowMs);
    const { engines, endings } = this.#rooms;
    const record = engines.get(model);
    assert(record.state.kind === "falling asleep", `${model} failed to fall asleep in state ${record.state.kind}`);
    engines.journal({ kind: "sleep failed", model, failure: reason }, nowMs);
    endings.stop(record, reason, nowMs);
    this.#leave();
  }

  /** No process of the engine is left. */
  onStopped(model: ModelId, nowMs: number): void {
    this.#enter(nowMs);
    const { engines, switches, deciding, preloads, shutdown } = this.#rooms;
    const record = engines.get(model);
    engines.stopped(record, nowMs);
    switches.settled(nowMs);
    deciding.changed(record);
    preloads.changed();
    shutdown.finishIfDone(nowMs);
    this.#leave();
  }

  /** Something of the engine is left. Its devices stay closed, and the stop is tried again; at shutdown not for ever. */
  onStopFailed(model: ModelId, reason: Failure, nowMs: number): void {
    this.#enter(nowMs);
    const { engines, endings, shutdown } = this.#rooms;
    const record = engines.get(model);
    assert(record.state.kind === "stopping", `${model} failed to stop in state ${record.state.kind}`);
    record.failedStops += 1;
    endings.stopFailed(record, reason, shutdown.givesUp(record), nowMs);
    shutdown.finishIfDone(nowMs);
    this.#leave();
  }

  /** The engine's process has ended without being asked to. What is left of it is cleaned up. */
  onCrashed(model: ModelId, reason: Failure, nowMs: number): void {
    this.#enter(nowMs);
    const { engines, endings } = this.#rooms;
    const record = engines.get(model);
    const during = record.state.kind;
    assert(during !== "stopped" && during !== "failed" && during !== "stopping", `${model} crashed while ${during}`);
    engines.journal({ kind: "engine crashed", model, during, failure: reason }, nowMs);
    endings.fail(record, "crash", reason, nowMs);
    this.#leave();
  }

  /** What an engine takes has been measured: from now on that counts, and no more what was believed. */
  onMemoryMeasured(model: ModelId, measured: MemoryMeasurement, nowMs: number): void {
    this.#enter(nowMs);
    const { engines, deciding, preloads } = this.#rooms;
    const record = engines.get(model);
    const believedBytes = takeMeasurement(record.memory, measured);
    const { needBytes } = record.memory;
    if (believedBytes !== null && needBytes !== null) {
      engines.journal({ kind: "memory differs", model, believedBytes, measuredBytes: needBytes }, nowMs);
    }
    deciding.changed(record);
    preloads.changed();
    this.#leave();
  }

  // ── operators and time ────────────────────────────────────────────────────────────────────────────────────────────

  /**
   * An operator wants the model put away. Running requests are drained; a start or a wake is broken off. Returns null, or
   * why nothing is done.
   */
  onOperator(model: ModelId, command: OperatorCommand, nowMs: number): Failure | null {
    this.#enter(nowMs);
    const { engines, orders, preloads, shutdown } = this.#rooms;
    const record = engines.get(model);
    const refused = shutdown.phase === "running" ? orders.give(record, command, nowMs) : SHUTTING_DOWN;
    if (refused === null) preloads.done(record);
    this.#leave();
    return refused;
  }

  /** The alarm has gone off. Early or needless calls do no harm. */
  onAlarm(nowMs: number): void {
    this.#enter(nowMs);
    this.#armedAtMs = null;
    // What is to be decided is decided after all of them: of those whose time is up together none begins a switch for another.
    const { timers } = this.#rooms;
    for (let due = timers.takeDue(nowMs); due !== null; due = timers.takeDue(nowMs)) due.fire(nowMs);
    this.#leave();
  }

  /**
   * Ends everything: nobody is let in any more, running requests may go on for `timeoutMs`, then every engine is stopped.
   * Answered by `finished`. A second call does nothing.
   */
  onShutdown(timeoutMs: number, nowMs: number): void {
    const { shutdown } = this.#rooms;
    if (shutdown.phase !== "running") return;
    this.#enter(nowMs);
    shutdown.begin(timeoutMs, nowMs);
    this.#leave();
  }

  snapshot(): Snapshot {
    const { engines, switches, host, shutdown } = this.#rooms;
    return takeSnapshot({
      atMs: this.#nowMs,
      phase: shutdown.phase,
      engines,
      switches: switches.snapshot(),
      host,
      boundMs: (record) => this.#boundMs(record),
    });
  }

  /** How long a request for this model that comes now waits at most while nothing fails, in ms; null: there is no bound. */
  boundMs(model: ModelId): number | null {
    return this.#boundMs(this.#rooms.engines.get(model));
  }

  /** Every model for which requests wait while it is not awake: what the policy makes of it, and what keeps it. */
  explain(nowMs: number): readonly Verdict[] {
    const { engines, deciding } = this.#rooms;
    const islands = new Set(Array.from(engines.all(), ({ island }) => island));
    return [...islands].flatMap((island) => deciding.explain(island, nowMs));
  }

  /** What switches have cost so far, for the next run. */
  switchCosts(): readonly SwitchCostEntry[] {
    return this.#rooms.costs.entries();
  }

  /** Throws `AssertionError` when something that must always hold does not. Looks at everything: for tests. */
  assertInvariants(): void {
    const { engines, admission, switches, timers, shutdown } = this.#rooms;
    assertInvariants({ phase: shutdown.phase, engines, admission, switches, timers, armedAtMs: this.#armedAtMs });
  }

  #enter(nowMs: number): void {
    assert(nowMs >= this.#nowMs, () => `time went back from ${this.#nowMs} to ${nowMs}`);
    this.#nowMs = nowMs;
  }

  /** Every event ends here: what it gave reason to is decided, and the alarm is set. */
  #leave(): void {
    const { timers, deciding, preloads, shutdown } = this.#rooms;
    if (shutdown.phase === "running") {
      deciding.decide(this.#nowMs);
      preloads.look(this.#nowMs);
    }
    if (timers.nextAtMs === this.#armedAtMs) return;
    this.#armedAtMs = timers.nextAtMs;
    this.#effects.alarmAt(this.#armedAtMs);
  }

  #enqueue(waiter: WaiterId, record: ModelRecord, priority: Priority, nowMs: number): void {
    const { admission, preloads, deciding } = this.#rooms;
    admission.enqueue(waiter, record, priority, nowMs, (left, atMs) => this.#onLeft(left, true, atMs));
    preloads.breakOffFor(record, nowMs);
    deciding.arrived(record, nowMs);
  }

  #onLeft(record: ModelRecord, wasOldest: boolean, nowMs: number): void {
    const { switches, deciding } = this.#rooms;
    if (switches.waiterLeft(record, nowMs)) deciding.changed(record);
    else deciding.left(record, wasOldest, nowMs);
  }

  #boundMs({ island }: ModelRecord): number | null {
    const { costs, engines, drains } = this.#rooms;
    return boundOn(island, { policy: this.#policy, costs, engines, drainMaxMs: drains.longestMs });
  }
}
