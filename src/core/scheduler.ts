/**
 * Decides which models are awake and when that changes. Synchronous, without clock, timers or I/O: events come in, each
 * with its time, effects go out. It is the only writer of this state; everyone else sends events and reads snapshots.
 */
import { assert } from "../base/assert.ts";
import { failure, type Failure } from "../base/failure.ts";
import { Admission } from "./admission.ts";
import { retryDelayMs } from "./backoff.ts";
import { candidates } from "./candidates.ts";
import { Drains } from "./drains.ts";
import type { Effects } from "./effects.ts";
import { Engines, modelSnapshot, type ModelRecord } from "./engines.ts";
import { ForcedCredit, type ForcedCreditOptions } from "./forced-credit.ts";
import { assertInvariants } from "./invariants.ts";
import type { LeaseId, LeaseOutcome, WaiterId } from "./lease.ts";
import type { ModelId, ModelSpec } from "./model.ts";
import { orderFor, type OperatorCommand } from "./operator.ts";
import type { Policy } from "./policy.ts";
import type { Snapshot } from "./snapshot.ts";
import { SwitchCosts } from "./switch-cost.ts";
import { Switches } from "./switches.ts";
import { Timers, type Timer } from "./timers.ts";
import { Visits } from "./visits.ts";

/** How the scheduler behaves. */
export interface SchedulerOptions {
  readonly policy: Policy;
  /** How long a request may wait before it is let in, in ms; > 0. */
  readonly requestTimeoutMs: number;
  /** How long running requests may go on once their model must leave, in ms; null: until they end; 0: not at all. */
  readonly drainTimeoutMs: number | null;
  /** The budget for switches that the policy forces; none unless given. */
  readonly forcedCredit?: ForcedCreditOptions;
}

/** One instance per gateway. `nowMs` of each event is a monotonic clock in ms and never goes back. */
export class Scheduler {
  readonly #engines: Engines;
  readonly #admission: Admission;
  readonly #drains: Drains;
  readonly #switches: Switches;
  readonly #timers = new Timers();
  readonly #effects: Effects;
  readonly #policy: Policy;
  /** What the candidates are made from. */
  readonly #parts: Parameters<typeof candidates>[0];
  #phase: Snapshot["phase"] = "running";
  #armedAtMs: number | null = null;
  #policyTimer: Timer | null = null;
  #nowMs: number;

  constructor(models: readonly ModelSpec[], options: SchedulerOptions, effects: Effects, nowMs: number) {
    this.#effects = effects;
    this.#policy = options.policy;
    this.#nowMs = nowMs;
    const { requestTimeoutMs, drainTimeoutMs } = options;
    const timers = this.#timers;
    const engines = new Engines(models, effects, nowMs);
    const admission = new Admission({ effects, engines, timers, requestTimeoutMs });
    const visits = new Visits();
    const drains = new Drains({ engines, admission, timers, visits, drainTimeoutMs });
    const costs = new SwitchCosts();
    const forcedCredit = options.forcedCredit === undefined ? null : new ForcedCredit(options.forcedCredit);
    const switches = new Switches({ engines, admission, costs, drains });
    this.#engines = engines;
    this.#admission = admission;
    this.#drains = drains;
    this.#switches = switches;
    this.#parts = { engines, admission, switches, costs, visits, forcedCredit };
  }

  // ── requests ──────────────────────────────────────────────────────────────────────────────────────────────────────

  /** A request has arrived. Answered by `grant` or `refuse`, perhaps before this returns. */
  onRequest(waiter: WaiterId, model: ModelId, nowMs: number): void {
    this.#enter(nowMs);
    const record = this.#engines.get(model);
    if (this.#phase !== "running") this.#admission.refuseAtOnce(waiter, record, SHUTTING_DOWN, nowMs);
    else if (record.state.kind === "awake" && this.#admission.hasRoom(record)) {
      this.#admission.grantAtOnce(waiter, record, nowMs);
    } else if (record.lastFailure !== null && record.retryAtMs > nowMs) {
      this.#admission.refuseAtOnce(waiter, record, withRetryAfter(record.lastFailure, record.retryAtMs - nowMs), nowMs);
    } else {
      this.#admission.enqueue(waiter, record, nowMs, (left, atMs) => this.#switches.waiterLeft(left, atMs));
      this.#consider(nowMs);
    }
    this.#leave();
  }

  /** The client of a waiting request has gone. Does nothing if it does not wait any more. */
  onAbandoned(waiter: WaiterId, nowMs: number): void {
    this.#enter(nowMs);
    const record = this.#admission.abandon(waiter, nowMs);
    if (record !== null) {
      this.#switches.waiterLeft(record, nowMs);
      // Also when others are left: its oldest is a younger one now, which may keep back fewer models than the last did.
      this.#consider(nowMs);
    }
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
      this.#consider(nowMs);
    }
    this.#finishIfDone(nowMs);
    this.#leave();
  }

  // ── engines ───────────────────────────────────────────────────────────────────────────────────────────────────────

  /** A start or a wake has succeeded. */
  onAwake(model: ModelId, nowMs: number): void {
    this.#enter(nowMs);
    const record = this.#engines.get(model);
    this.#engines.open(record, nowMs);
    this.#switches.ended(record, nowMs);
    // Those let in hold their leases before the next switch is considered; otherwise two busy models would take turns
    // without serving anyone.
    this.#admission.grantWaiting(record, nowMs);
    this.#consider(nowMs);
    this.#leave();
  }

  /** A start or a wake has failed. The engine is stopped, those that wait get the reason, the next try backs off. */
  onWakeFailed(model: ModelId, reason: Failure, nowMs: number): void {
    this.#enter(nowMs);
    const record = this.#engines.get(model);
    const { kind } = record.state;
    assert(kind === "starting" || kind === "waking", `${model} failed to wake in state ${kind}`);
    this.#fail(record, "failed wake", reason, nowMs);
    this.#leave();
  }

  onAsleep(model: ModelId, nowMs: number): void {
    this.#enter(nowMs);
    const record = this.#engines.get(model);
    this.#engines.asleep(record, nowMs);
    this.#switches.settled(nowMs);
    this.#consider(nowMs);
    this.#leave();
  }

  /** The engine did not fall asleep, or its memory did not come free: it is stopped, so that the memory surely is. */
  onSleepFailed(model: ModelId, reason: Failure, nowMs: number): void {
    this.#enter(nowMs);
    const record = this.#engines.get(model);
    assert(record.state.kind === "falling asleep", `${model} failed to fall asleep in state ${record.state.kind}`);
    this.#engines.journal({ kind: "sleep failed", model, failure: reason }, nowMs);
    this.#engines.stop(record, null, nowMs);
    this.#leave();
  }

  /** No process of the engine is left. */
  onStopped(model: ModelId, nowMs: number): void {
    this.#enter(nowMs);
    const record = this.#engines.get(model);
    this.#engines.stopped(record, nowMs);
    this.#switches.settled(nowMs);
    this.#consider(nowMs);
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

  // ── operators and time ────────────────────────────────────────────────────────────────────────────────────────────

  /**
   * An operator wants the model put away. Running requests are drained; a start or a wake is broken off. Returns null, or
   * why nothing is done.
   */
  onOperator(model: ModelId, command: OperatorCommand, nowMs: number): Failure | null {
    this.#enter(nowMs);
    const refused = this.#operate(this.#engines.get(model), command, nowMs);
    this.#leave();
    return refused;
  }

  /** The alarm has gone off. Early or needless calls do no harm. */
  onAlarm(nowMs: number): void {
    this.#enter(nowMs);
    this.#armedAtMs = null;
    for (let due = this.#timers.takeDue(nowMs); due !== null; due = this.#timers.takeDue(nowMs)) due.fire(nowMs);
    // Once, after all of them: of those whose time is up together none begins a switch for another.
    this.#consider(nowMs);
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
    for (const record of this.#admission.waitingModels) {
      this.#admission.refuseAllWaiting(record, SHUTTING_DOWN, nowMs);
    }
    this.#switches.cancelAll("llmux is shutting down", nowMs);
    for (const record of this.#engines.all()) this.#shutDown(record, nowMs);
    this.#timers.add(nowMs + timeoutMs, (atMs) => {
      for (const record of this.#engines.all()) this.#admission.revokeAll(record, SHUTTING_DOWN, atMs);
    });
    this.#finishIfDone(nowMs);
    this.#leave();
  }

  snapshot(): Snapshot {
    return {
      atMs: this.#nowMs,
      phase: this.#phase,
      models: Array.from(this.#engines.all(), modelSnapshot),
      switches: this.#switches.snapshot(),
    };
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

  #leave(): void {
    if (this.#timers.nextAtMs === this.#armedAtMs) return;
    this.#armedAtMs = this.#timers.nextAtMs;
    this.#effects.alarmAt(this.#armedAtMs);
  }

  #consider(nowMs: number): void {
    while (this.#phase === "running") {
      const waiting = candidates(this.#parts, nowMs);
      this.#timers.cancel(this.#policyTimer);
      this.#policyTimer = null;
      if (waiting.length === 0) return;
      const decision = this.#policy({ nowMs, candidates: waiting });
      if (decision.kind === "switch") {
        const target = this.#engines.get(decision.to);
        this.#parts.forcedCredit?.spend(target.spec.devices, decision.forcedCostMs ?? 0, nowMs);
        this.#switches.begin(target, decision.because, nowMs);
        continue;
      }
      if (decision.askAgainAtMs !== null) {
        assert(
          decision.askAgainAtMs > nowMs,
          `the policy wants to be asked again at ${decision.askAgainAtMs}, and it is ${nowMs}`,
        );
        // Every alarm ends with this question, so this one has nothing to do itself.
        this.#policyTimer = this.#timers.add(decision.askAgainAtMs, () => {});
      }
      return;
    }
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
    if (!wasComing && record.switch !== null) this.#switches.victimDrained(record, nowMs);
    this.#consider(nowMs);
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
        this.#engines.stop(record, null, nowMs);
        break;
      case "drain":
        this.#drains.begin(record, order.to, nowMs);
        if (record.leases.size === 0) this.#onDrained(record, nowMs);
        break;
      case "break off":
        record.lastFailure = order.reason;
        this.#engines.stop(record, order.reason, nowMs);
        this.#switches.targetFailed(record, order.reason, nowMs);
        this.#admission.refuseAllWaiting(record, order.reason, nowMs);
        // The switch may have held more devices than the engine that is stopped now.
        this.#consider(nowMs);
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
        return this.#engines.stop(record, null, nowMs);
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

/** After so many failed stops in a row a shutdown ends without the engine. */
const STOPS_AT_SHUTDOWN = 3;

const SHUTTING_DOWN: Failure = failure("shutting_down", "llmux is shutting down and takes no more requests");

function withRetryAfter(reason: Failure, retryAfterMs: number): Failure {
  return { ...reason, retryAfterMs };
}
