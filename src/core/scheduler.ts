/**
 * Decides which models are awake and when that changes. Synchronous, without clock, timers or I/O: events come in, each
 * with its time, effects go out. It is the only writer of this state; everyone else sends events and reads snapshots.
 */
import { assert } from "../base/assert.ts";
import { failure, type Failure } from "../base/failure.ts";
import { Admission } from "./admission.ts";
import { retryDelayMs } from "./backoff.ts";
import { boundOn } from "./bound.ts";
import { Deciding } from "./deciding.ts";
import { DrainTimes } from "./drain-times.ts";
import { Drains } from "./drains.ts";
import type { Effects } from "./effects.ts";
import { Engines, type ModelRecord } from "./engines.ts";
import { ForcedCredit, type ForcedCreditOptions } from "./forced-credit.ts";
import { HostMemory } from "./host-memory.ts";
import { IdleLadder } from "./idle-ladder.ts";
import { assertInvariants } from "./invariants.ts";
import type { LeaseId, LeaseOutcome, WaiterId } from "./lease.ts";
import { sizeText, takeMeasurement, type MemoryMeasurement } from "./memory.ts";
import type { DeviceSpec, ModelId, ModelSpec, Priority } from "./model.ts";
import { orderFor, type OperatorCommand } from "./operator.ts";
import { isUsed } from "./placement.ts";
import type { Policy, Verdict } from "./policy.ts";
import { Preloads } from "./preloads.ts";
import { SleeperCredits } from "./sleeper-credit.ts";
import { takeSnapshot, type Snapshot } from "./snapshot.ts";
import { SwitchCosts, type SwitchCostEntry } from "./switch-cost.ts";
import { isWanted, Switches } from "./switches.ts";
import { Timers, type Timer } from "./timers.ts";
import { Visits } from "./visits.ts";

/** How the scheduler behaves. */
export interface SchedulerOptions {
  readonly policy: Policy;
  /** How long a request may wait before it is let in, in ms; > 0. */
  readonly requestTimeoutMs: number;
  /** How long running requests may go on once their model must leave, in ms; null: until they end; 0: not at all. */
  readonly drainTimeoutMs: number | null;
  /**
   * How long running requests may go on once their model must leave for another one, in ms; then they stand still where the
   * engine can do that, and are ended where it cannot. Takes the place of `drainTimeoutMs` for switches; null: off.
   */
  readonly drainBudgetMs?: number | null;
  /** The budget for switches that the policy forces; none unless given. */
  readonly forcedCredit?: ForcedCreditOptions;
  /** What is known of the devices; of others no size is known. */
  readonly devices?: readonly DeviceSpec[];
  /** What sleepers at level 1 may take of the host in all, in bytes; null: not limited. */
  readonly hostMemoryBytes?: number | null;
  /** How many requests may wait for all models together; no limit unless given. */
  readonly queueMax?: number;
  /** A model that nobody uses is put to sleep after this, in ms; null: never. */
  readonly idleSleepMs?: number | null;
  /** A sleeping engine is stopped after this, in ms; null: never. */
  readonly idleStopMs?: number | null;
  /** What a former run has measured. */
  readonly knownCosts?: readonly SwitchCostEntry[];
}

/** One instance per gateway. `nowMs` of each event is a monotonic clock in ms and never goes back. */
export class Scheduler {
  readonly #engines: Engines;
  readonly #admission: Admission;
  readonly #drains: Drains;
  readonly #switches: Switches;
  readonly #timers = new Timers();
  readonly #host: HostMemory;
  readonly #idle: IdleLadder;
  readonly #preloads: Preloads;
  readonly #deciding: Deciding;
  readonly #costs: SwitchCosts;
  readonly #effects: Effects;
  readonly #policy: Policy;
  #phase: Snapshot["phase"] = "running";
  #armedAtMs: number | null = null;
  #preloadTimer: Timer | null = null;
  #nowMs: number;

  constructor(models: readonly ModelSpec[], options: SchedulerOptions, effects: Effects, nowMs: number) {
    this.#effects = effects;
    this.#policy = options.policy;
    this.#nowMs = nowMs;
    const { policy, requestTimeoutMs, drainTimeoutMs, drainBudgetMs = null, queueMax = Infinity } = options;
    const timers = this.#timers;
    const engines = new Engines(models, options.devices ?? [], effects, nowMs);
    const costs = new SwitchCosts(options.knownCosts);
    const obstacleFor = (record: ModelRecord, atMs: number): string | null =>
      this.#switches.outlookFor(record, atMs).obstacle;
    const admission = new Admission({ effects, engines, timers, costs, requestTimeoutMs, queueMax, obstacleFor });
    const visits = new Visits();
    const drainTimes = new DrainTimes();
    const drains = new Drains({
      engines,
      admission,
      timers,
      visits,
      drainTimeoutMs,
      drainBudgetMs,
      onSuspended: (record, atMs) => this.#onDrained(record, atMs),
    });
    const credits = new SleeperCredits();
    const host = new HostMemory({ engines, costs, credits, budgetBytes: options.hostMemoryBytes ?? null });
    const chooseAgain = (records: readonly ModelRecord[], atMs: number): ModelId =>
      this.#deciding.chooseAgain(records, atMs);
    const switches = new Switches({
      engines,
      costs,
      drains,
      drainTimes,
      host,
      onLeft: (record) => this.#deciding.changed(record),
      stopSleeper: (record, atMs) => this.#stop(record, noRoomLeft(record), atMs),
      chooseAgain: policy.chooseAgain === undefined ? null : chooseAgain,
    });
    const forcedCredit = options.forcedCredit === undefined ? null : new ForcedCredit(options.forcedCredit);
    this.#engines = engines;
    this.#admission = admission;
    this.#drains = drains;
    this.#switches = switches;
    this.#host = host;
    this.#costs = costs;
    this.#preloads = new Preloads({ engines, switches });
    this.#deciding = new Deciding({ engines, switches, costs, visits, drainTimes, forcedCredit, timers, policy });
    this.#idle = new IdleLadder({
      timers,
      sleepAfterMs: options.idleSleepMs ?? null,
      stopAfterMs: options.idleStopMs ?? null,
      step: (record, to, atMs) => this.#operate(record, to, atMs) === null,
    });
  }

  /** Engines can be started from now on: what is to be there before anybody asks comes up. To be called once. */
  onStarted(nowMs: number): void {
    this.#enter(nowMs);
    this.#preloads.begin();
    for (const record of this.#engines.all()) this.#idle.rests(record, nowMs);
    this.#leave();
  }

  // ── requests ──────────────────────────────────────────────────────────────────────────────────────────────────────

  /** A request has arrived. Answered by `grant` or `refuse`, perhaps before this returns. */
  onRequest(waiter: WaiterId, model: ModelId, nowMs: number, priority?: Priority): void {
    this.#enter(nowMs);
    const record = this.#engines.get(model);
    const weighs = priority ?? record.spec.priority ?? "normal";
    if (this.#phase !== "running") this.#admission.refuseAtOnce(waiter, record, SHUTTING_DOWN, nowMs);
    else if (record.state.kind === "awake" && this.#admission.hasRoom(record)) {
      this.#admission.grantAtOnce(waiter, record, weighs, nowMs);
    } else if (record.lastFailure !== null && record.retryAtMs > nowMs) {
      this.#admission.refuseAtOnce(waiter, record, withRetryAfter(record.lastFailure, record.retryAtMs - nowMs), nowMs);
    } else {
      const reason = this.#admission.reasonToRefuse(record, weighs, nowMs);
      if (reason === null) this.#enqueue(waiter, record, weighs, nowMs);
      else this.#admission.refuseAtOnce(waiter, record, reason, nowMs);
    }
    this.#leave();
  }

  /** The client of a waiting request has gone. Does nothing if it does not wait any more. */
  onAbandoned(waiter: WaiterId, nowMs: number): void {
    this.#enter(nowMs);
    const left = this.#admission.abandon(waiter, nowMs);
    if (left !== null) this.#onLeft(left.record, left.wasOldest, nowMs);
    this.#leave();
  }

  /** A granted request is over. To be called exactly once for each lease. */
  onReleased(lease: LeaseId, outcome: LeaseOutcome, nowMs: number): void {
    this.#enter(nowMs);
    const record = this.#admission.release(lease, outcome, nowMs);
    if (record !== null) {
      if (outcome === "served") record.failuresInRow = 0;
      if (record.state.kind === "awake") this.#admission.grantWaiting(record, nowMs);
      if (record.state.kind === "draining" && record.leases.size === 0) this.#onDrained(record, nowMs);
      // Those that stood still have gone: perhaps nobody wants it awake any more.
      else if (record.state.kind === "asleep" && !isWanted(record)) this.#onLeft(record, true, nowMs);
      this.#deciding.released(record);
      this.#idle.rests(record, nowMs);
    }
    this.#finishIfDone(nowMs);
    this.#leave();
  }

  // ── engines ───────────────────────────────────────────────────────────────────────────────────────────────────────

  /** A start or a wake has succeeded. */
  onAwake(model: ModelId, nowMs: number): void {
    this.#enter(nowMs);
    const record = this.#engines.get(model);
    this.#admission.resume(record);
    this.#engines.open(record, nowMs);
    const cause = this.#switches.ended(record, nowMs);
    // Those let in hold their leases before the next switch is considered; otherwise two busy models would take turns
    // without serving anyone.
    this.#admission.grantWaiting(record, nowMs);
    this.#deciding.changed(record);
    this.#preloads.done(record);
    if (cause === "preload" && record.spec.pinned !== true && !isUsed(record)) this.#putToSleep(record, nowMs);
    this.#idle.rests(record, nowMs);
    this.#leave();
  }

  /** A start or a wake has failed. The engine is stopped, those that wait get the reason, the next try backs off. */
  onWakeFailed(model: ModelId, reason: Failure, nowMs: number): void {
    this.#enter(nowMs);
    const record = this.#engines.get(model);
    const { kind } = record.state;
    assert(kind === "starting" || kind === "waking", `${model} failed to wake in state ${kind}`);
    if (reason.code !== "out_of_memory") this.#fail(record, "failed wake", reason, nowMs);
    else if (!this.#retryWithMore(record, reason, nowMs)) {
      this.#fail(record, "failed wake", withMemory(reason, record, this.#engines), nowMs);
    }
    this.#leave();
  }

  onAsleep(model: ModelId, nowMs: number): void {
    this.#enter(nowMs);
    const record = this.#engines.get(model);
    this.#engines.asleep(record, nowMs);
    this.#host.onAsleep(record);
    this.#switches.settled(nowMs);
    this.#deciding.changed(record);
    this.#idle.rests(record, nowMs);
    this.#leave();
  }

  /** The engine did not fall asleep, or its memory did not come free: it is stopped, so that the memory surely is. */
  onSleepFailed(model: ModelId, reason: Failure, nowMs: number): void {
    this.#enter(nowMs);
    const record = this.#engines.get(model);
    assert(record.state.kind === "falling asleep", `${model} failed to fall asleep in state ${record.state.kind}`);
    this.#engines.journal({ kind: "sleep failed", model, failure: reason }, nowMs);
    this.#stop(record, reason, nowMs);
    this.#leave();
  }

  /** No process of the engine is left. */
  onStopped(model: ModelId, nowMs: number): void {
    this.#enter(nowMs);
    const record = this.#engines.get(model);
    this.#engines.stopped(record, nowMs);
    this.#switches.settled(nowMs);
    this.#deciding.changed(record);
    this.#finishIfDone(nowMs);
    this.#leave();
  }

  /** Something of the engine is left. Its devices stay closed, and the stop is tried again; at shutdown not for ever. */
  onStopFailed(model: ModelId, reason: Failure, nowMs: number): void {
    this.#enter(nowMs);
    const record = this.#engines.get(model);
    assert(record.state.kind === "stopping", `${model} failed to stop in state ${record.state.kind}`);
    record.failedStops += 1;
    record.lastFailure = reason;
    const givesUp = this.#phase !== "running" && record.failedStops >= STOPS_AT_SHUTDOWN;
    const retryAtMs = givesUp ? null : nowMs + retryDelayMs("failed wake", record.failedStops);
    this.#engines.journal({ kind: "stop failed", model, failure: reason, retryAtMs }, nowMs);
    if (retryAtMs === null) this.#engines.stopped(record, nowMs);
    else record.stopTimer = this.#timers.add(retryAtMs, () => this.#engines.stopAgain(record));
    this.#finishIfDone(nowMs);
    this.#leave();
  }

  /** The engine's process has ended without being asked to. What is left of it is cleaned up. */
  onCrashed(model: ModelId, reason: Failure, nowMs: number): void {
    this.#enter(nowMs);
    const record = this.#engines.get(model);
    const during = record.state.kind;
    assert(during !== "stopped" && during !== "failed" && during !== "stopping", `${model} crashed while ${during}`);
    this.#engines.journal({ kind: "engine crashed", model, during, failure: reason }, nowMs);
    this.#fail(record, "crash", reason, nowMs);
    this.#leave();
  }

  /** What an engine takes has been measured: from now on that counts, and no more what was believed. */
  onMemoryMeasured(model: ModelId, measured: MemoryMeasurement, nowMs: number): void {
    this.#enter(nowMs);
    const record = this.#engines.get(model);
    const believedBytes = takeMeasurement(record.memory, measured);
    const { needBytes } = record.memory;
    if (believedBytes !== null && needBytes !== null) {
      this.#engines.journal({ kind: "memory differs", model, believedBytes, measuredBytes: needBytes }, nowMs);
    }
    this.#deciding.changed(record);
    this.#leave();
  }

  // ── operators and time ────────────────────────────────────────────────────────────────────────────────────────────

  /**
   * An operator wants the model put away. Running requests are drained; a start or a wake is broken off. Returns null, or
   * why nothing is done.
   */
  onOperator(model: ModelId, command: OperatorCommand, nowMs: number): Failure | null {
    this.#enter(nowMs);
    const record = this.#engines.get(model);
    const refused = this.#operate(record, command, nowMs);
    if (refused === null) this.#preloads.done(record);
    this.#leave();
    return refused;
  }

  /** The alarm has gone off. Early or needless calls do no harm. */
  onAlarm(nowMs: number): void {
    this.#enter(nowMs);
    this.#armedAtMs = null;
    // What is to be decided is decided after all of them: of those whose time is up together none begins a switch for another.
    for (let due = this.#timers.takeDue(nowMs); due !== null; due = this.#timers.takeDue(nowMs)) due.fire(nowMs);
    this.#leave();
  }

  /**
   * Ends everything: nobody is let in any more, running requests may go on for `timeoutMs`, then every engine is stopped.
   * Answered by `finished`. A second call does nothing.
   */
  onShutdown(timeoutMs: number, nowMs: number): void {
    if (this.#phase !== "running") return;
    this.#enter(nowMs);
    this.#phase = "shutting down";
    this.#engines.journal({ kind: "shutdown started", inFlight: this.#admission.leasesOut }, nowMs);
    for (const record of this.#engines.all()) this.#admission.refuseAllWaiting(record, SHUTTING_DOWN, nowMs);
    this.#switches.cancelAll("llmux is shutting down", nowMs);
    for (const record of this.#engines.all()) this.#shutDown(record, nowMs);
    this.#timers.add(nowMs + timeoutMs, (atMs) => {
      for (const record of this.#engines.all()) this.#admission.revokeAll(record, SHUTTING_DOWN, atMs);
    });
    this.#finishIfDone(nowMs);
    this.#leave();
  }

  snapshot(): Snapshot {
    return takeSnapshot({
      atMs: this.#nowMs,
      phase: this.#phase,
      engines: this.#engines,
      switches: this.#switches.snapshot(),
      host: this.#host,
      boundMs: (record) => this.#boundMs(record),
    });
  }

  /** How long a request for this model that comes now waits at most while nothing fails, in ms; null: there is no bound. */
  boundMs(model: ModelId): number | null {
    return this.#boundMs(this.#engines.get(model));
  }

  /** Every model for which requests wait while it is not awake: what the policy makes of it, and what keeps it. */
  explain(nowMs: number): readonly Verdict[] {
    const islands = new Set(Array.from(this.#engines.all(), ({ island }) => island));
    return [...islands].flatMap((island) => this.#deciding.explain(island, nowMs));
  }

  /** What switches have cost so far, for the next run. */
  switchCosts(): readonly SwitchCostEntry[] {
    return this.#costs.entries();
  }

  /** Throws `AssertionError` when something that must always hold does not. Looks at everything: for tests. */
  assertInvariants(): void {
    assertInvariants({
      phase: this.#phase,
      engines: this.#engines,
      admission: this.#admission,
      switches: this.#switches,
      timers: this.#timers,
      armedAtMs: this.#armedAtMs,
    });
  }

  // ── inside ────────────────────────────────────────────────────────────────────────────────────────────────────────

  #enter(nowMs: number): void {
    assert(nowMs >= this.#nowMs, `time went back from ${this.#nowMs} to ${nowMs}`);
    this.#nowMs = nowMs;
  }

  /** Every event ends here: what it gave reason to is decided, and the alarm is set. */
  #leave(): void {
    if (this.#phase === "running") {
      this.#deciding.decide(this.#nowMs);
      this.#preload(this.#nowMs);
    }
    if (this.#timers.nextAtMs === this.#armedAtMs) return;
    this.#armedAtMs = this.#timers.nextAtMs;
    this.#effects.alarmAt(this.#armedAtMs);
  }

  #enqueue(waiter: WaiterId, record: ModelRecord, priority: Priority, nowMs: number): void {
    this.#admission.enqueue(waiter, record, priority, nowMs, (left, atMs) => this.#onLeft(left, true, atMs));
    this.#breakOffPreload(record, nowMs);
    this.#deciding.arrived(record, nowMs);
  }

  #onLeft(record: ModelRecord, wasOldest: boolean, nowMs: number): void {
    if (this.#switches.waiterLeft(record, nowMs)) this.#deciding.changed(record);
    else this.#deciding.left(record, wasOldest, nowMs);
  }

  #boundMs({ island }: ModelRecord): number | null {
    return boundOn(island, {
      policy: this.#policy,
      costs: this.#costs,
      engines: this.#engines,
      drainMaxMs: this.#drains.longestMs,
    });
  }

  // ── preloading ────────────────────────────────────────────────────────────────────────────────────────────────────

  #preload(nowMs: number): void {
    if (this.#preloads.isDone) return;
    for (let next = this.#preloads.next(nowMs); next !== null; next = this.#preloads.next(nowMs)) {
      this.#switches.begin(
        next,
        { cause: "preload", because: "it is to be there before its first request", compared: [] },
        nowMs,
      );
    }
    if (this.#preloads.isDone || this.#preloadTimer !== null) return;
    // Every event ends with a look at them, so this one has nothing to do itself.
    this.#preloadTimer = this.#timers.add(nowMs + PRELOAD_LOOK_MS, () => {
      this.#preloadTimer = null;
    });
  }

  /** Whoever asks does not wait until a model is there for which nobody has asked. */
  #breakOffPreload(record: ModelRecord, nowMs: number): void {
    for (const { switch: change } of this.#engines.devices.of(record.spec)) {
      if (change === null || change.cause !== "preload" || change.target === record.spec.id) continue;
      const target = this.#engines.get(change.target);
      if (isWanted(target)) continue;
      if (change.phase !== "waking") this.#switches.callOff(change, `a request for ${record.spec.id} has come`, nowMs);
      else {
        this.#switches.drop(change, `a request for ${record.spec.id} has come`, nowMs);
        this.#engines.stop(target, null, nowMs);
      }
    }
  }

  #putToSleep(record: ModelRecord, nowMs: number): void {
    const { level } = this.#host.bedFor(record, () => false);
    this.#drains.begin(record, level, { for: "order" }, nowMs);
    this.#onDrained(record, nowMs);
  }

  // ── failures ──────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Too little memory was free for a wake or a start: one more must go, and it is tried again. False if that is not possible. */
  #retryWithMore(record: ModelRecord, reason: Failure, nowMs: number): boolean {
    const extra = this.#switches.oneMoreFor(record, nowMs);
    if (extra === null) return false;
    const { id: model } = record.spec;
    this.#engines.journal({ kind: "wake retried", model, evicting: extra.spec.id, failure: reason }, nowMs);
    if (record.state.kind === "waking") this.#engines.asleepStill(record, nowMs);
    else this.#engines.stop(record, null, nowMs);
    this.#switches.tryAgainWithout(extra, record, nowMs);
    return true;
  }

  #onDrained(record: ModelRecord, nowMs: number): void {
    this.#drains.forget(record);
    if (record.switch !== null) this.#switches.victimDrained(record, nowMs);
    else this.#engines.putAway(record, nowMs);
  }

  /** The engine is gone or must go, and that was not asked for. */
  #fail(record: ModelRecord, kind: "crash" | "failed wake", reason: Failure, nowMs: number): void {
    const wasAsleep = record.state.kind === "asleep" || record.state.kind === "falling asleep";
    // Nobody was using a sleeping engine: its death says nothing about the next start.
    if (!wasAsleep) record.failuresInRow += 1;
    const delayMs = wasAsleep ? 0 : retryDelayMs(kind, record.failuresInRow);
    record.lastFailure = reason;
    record.retryAtMs = nowMs + delayMs;
    this.#drains.forget(record);
    this.#admission.voidAll(record, reason, nowMs);
    const wasComing = this.#switches.isComing(record);
    this.#engines.stop(record, reason, nowMs);
    if (wasComing) this.#switches.targetFailed(record, reason, nowMs);
    if (delayMs > 0) this.#admission.refuseAllWaiting(record, withRetryAfter(reason, delayMs), nowMs);
    // What stood still on it may have been all that wanted it.
    const isCalledOff = this.#switches.waiterLeft(record, nowMs);
    if (!wasComing && !isCalledOff && record.switch !== null) this.#switches.victimDrained(record, nowMs);
    if (record.spec.pinned === true) this.#preloads.again(record);
    else this.#preloads.done(record);
    this.#deciding.changed(record);
  }

  /**
   * Ends an engine that may be well. What stands still on it hears why before the engine is told: many end what runs on them as
   * if it were complete.
   */
  #stop(record: ModelRecord, reason: Failure, nowMs: number): void {
    this.#admission.voidAll(record, reason, nowMs);
    this.#engines.stop(record, null, nowMs);
  }

  #operate(record: ModelRecord, command: OperatorCommand, nowMs: number): Failure | null {
    if (this.#phase !== "running") return SHUTTING_DOWN;
    const order = orderFor(record, command, this.#engines);
    switch (order.kind) {
      case "nothing to do":
        break;
      case "refused":
        return order.reason;
      case "stop":
        this.#stop(record, stoppedByOperator(record), nowMs);
        break;
      case "drain":
        // Deeper than it was asked for, where the host has no memory left.
        this.#drains.begin(
          record,
          order.to === 1 ? this.#host.bedFor(record, () => false).level : order.to,
          { for: "order" },
          nowMs,
        );
        if (record.leases.size === 0) this.#onDrained(record, nowMs);
        this.#deciding.changed(record);
        break;
      case "break off":
        record.lastFailure = order.reason;
        this.#admission.voidAll(record, order.reason, nowMs);
        this.#engines.stop(record, order.reason, nowMs);
        this.#switches.targetFailed(record, order.reason, nowMs);
        this.#admission.refuseAllWaiting(record, order.reason, nowMs);
        // The switch may have held more devices than the engine that is stopped now.
        this.#deciding.changed(record);
        break;
    }
    return null;
  }

  #shutDown(record: ModelRecord, nowMs: number): void {
    switch (record.state.kind) {
      case "awake":
      case "draining":
        this.#drains.beginLast(record, nowMs);
        if (record.leases.size === 0) this.#engines.putAway(record, nowMs);
        return;
      case "starting":
      case "waking":
      case "falling asleep":
      case "asleep":
        return this.#stop(record, SHUTTING_DOWN, nowMs);
      case "stopping":
        // One that waits for its next try does not wait any longer; any other stop is under way.
        if (record.stopTimer === null) return;
        this.#timers.cancel(record.stopTimer);
        return this.#engines.stopAgain(record);
      case "stopped":
      case "failed":
        return;
    }
  }

  #finishIfDone(nowMs: number): void {
    if (this.#phase !== "shutting down" || this.#admission.leasesOut > 0) return;
    for (const { state } of this.#engines.all()) if (state.kind !== "stopped" && state.kind !== "failed") return;
    this.#phase = "finished";
    this.#timers.clear();
    this.#engines.journal({ kind: "shutdown ended" }, nowMs);
    this.#effects.finished();
  }
}

/** While models are to be preloaded, it is looked at least so often whether one can, in ms. */
const PRELOAD_LOOK_MS = 1_000;

/** After so many failed stops in a row a shutdown ends without the engine. */
const STOPS_AT_SHUTDOWN = 3;

const SHUTTING_DOWN: Failure = failure("shutting_down", "llmux is shutting down and takes no more requests");

function withRetryAfter(reason: Failure, retryAfterMs: number): Failure {
  return { ...reason, retryAfterMs };
}

function noRoomLeft({ spec }: ModelRecord): Failure {
  const message = `the sleeping engine of model ${spec.id} had to end so that another model has room, and what stood still on it with it`;
  return failure("drain_timeout", message);
}

function stoppedByOperator({ spec }: ModelRecord): Failure {
  return failure("stopped_by_operator", `the engine of model ${spec.id} was stopped by an operator`);
}

/** With the figures that tell an operator what does not fit. */
function withMemory(reason: Failure, record: ModelRecord, { devices }: Engines): Failure {
  const { needBytes } = record.memory;
  const needs = needBytes === null ? "" : `; it needs ${sizeText(needBytes)} of each GPU`;
  const sizes = record.spec.devices.map((id) => {
    const { memoryBytes, residents, sleepers } = devices.get(id);
    const others = [...residents, ...sleepers].filter((model) => model !== record.spec.id);
    const size = memoryBytes === null ? "" : ` has ${sizeText(memoryBytes)},`;
    return `GPU ${id}${size} ${others.length === 0 ? "and nobody else is there" : `and ${others.join(", ")} ${others.length === 1 ? "is" : "are"} there`}`;
  });
  return { ...reason, message: `${reason.message}${needs}; ${sizes.join("; ")}` };
}
