/** The switches under way, from the drain of those who leave to the wake of the one that comes. */
import { assert } from "../base/assert.ts";
import type { Failure } from "../base/failure.ts";
import type { DrainTimes } from "./drain-times.ts";
import { isDrained, type Drains } from "./drains.ts";
import { isAway, isResident, wakesFrom } from "./engine-state.ts";
import type { Engines, ModelRecord } from "./engines.ts";
import type { HostMemory } from "./host-memory.ts";
import type { ModelId } from "./model.ts";
import { newOutlookMemo, obstacleTo, outlookFor, placementIn, type Outlook, type OutlookMemo } from "./outlook.ts";
import { oneMoreFor, placementFor, type PlacementView } from "./placement.ts";
import type { Verdict } from "./policy.ts";
import type { SwitchSnapshot } from "./snapshot.ts";
import type { SwitchCosts } from "./switch-cost.ts";
import type { Switch, SwitchCause } from "./switch.ts";

interface Parts {
  readonly engines: Engines;
  readonly costs: SwitchCosts;
  readonly drains: Drains;
  readonly drainTimes: DrainTimes;
  readonly host: HostMemory;
  /** Ends the process of a sleeper, for the sake of another model. */
  readonly stopSleeper: (record: ModelRecord, nowMs: number) => void;
  /** A model is in no switch any more: on its devices something else may begin. */
  readonly onLeft: (record: ModelRecord) => void;
  /** Whom to wake after a drain, of those who could come instead; null: always the one for whom it was. */
  readonly chooseAgain: ((records: readonly ModelRecord[], nowMs: number) => ModelId) | null;
}

/** Why a switch begins, and what was weighed against what. */
export interface SwitchReason {
  readonly cause: SwitchCause;
  readonly because: string;
  readonly compared: readonly Verdict[];
}

/** One switch at most has a device, so switches on different devices go on side by side. */
export class Switches {
  readonly #active = new Set<Switch>();
  readonly #parts: Parts;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** How a switch to this model looks now; `memo` is of this moment. */
  outlookFor(target: ModelRecord, nowMs: number, memo: OutlookMemo = newOutlookMemo()): Outlook {
    return outlookFor(target, this.#view(nowMs), memo);
  }

  begin(target: ModelRecord, { cause, because, compared }: SwitchReason, nowMs: number): void {
    const { engines, host, drains } = this.#parts;
    const placement = placementFor(target, this.#view(nowMs));
    assert(placement.kind === "possible", `a switch to ${target.spec.id} began that is not possible`);
    const obstacle = obstacleTo(target, placement, engines, newOutlookMemo());
    assert(obstacle === null, `a switch to ${target.spec.id} began against an obstacle: ${obstacle}`);
    const change: Switch = {
      target: target.spec.id,
      victims: [...placement.victims],
      stops: [...placement.stops],
      hostStops: [],
      cause,
      startedAtMs: nowMs,
      drainsSinceMs: nowMs,
      phase: "draining",
      drainedAtMs: null,
      wokeFrom: null,
      extra: null,
    };
    this.#active.add(change);
    this.#join(change, [target, ...this.#members(change.victims), ...this.#members(change.stops)]);
    const { victims: from, target: to } = change;
    engines.journal({ kind: "switch started", from: [...from], to, because, compared }, nowMs);
    for (const victim of this.#members(change.victims)) {
      if (placement.ends.includes(victim.spec.id)) {
        drains.begin(victim, 3, { for: "switch" }, nowMs);
        continue;
      }
      const leaving = this.#members(change.stops);
      const { level, stops } = host.bedFor(victim, (sleeper) => this.#mayStop(sleeper, change), leaving);
      this.#join(change, stops);
      for (const { spec } of stops) {
        change.stops.push(spec.id);
        change.hostStops.push(spec.id);
      }
      drains.begin(victim, level, { for: "switch" }, nowMs);
    }
    this.#proceed(change, nowMs);
  }

  /** Nothing runs on this victim any more, or it is gone. */
  victimDrained(victim: ModelRecord, nowMs: number): void {
    assert(victim.switch !== null, `${victim.spec.id} is no victim`);
    this.#proceed(victim.switch, nowMs);
  }

  /** An engine has fallen asleep or stopped: a victim, or one that died beside a switch, whose target may now come up. */
  settled(nowMs: number): void {
    for (const change of this.#active) if (change.phase === "evicting") this.#proceed(change, nowMs);
  }

  /** A switch for whose target nobody waits any more is called off, unless the target is on its way already; true if it was. */
  waiterLeft(target: ModelRecord, nowMs: number): boolean {
    const change = target.switch;
    if (change === null || change.target !== target.spec.id || change.phase === "waking") return false;
    if (change.cause !== "requests" || isWanted(target)) return false;
    this.callOff(change, `nobody waits for ${change.target} any more`, nowMs);
    return true;
  }

  /** Ends a switch whose target is not on its way yet. Those that were on their way to sleep go on. */
  callOff(change: Switch, because: string, nowMs: number): void {
    assert(change.phase !== "waking", `the switch to ${change.target} is called off during its wake`);
    this.#cancel(change, because, nowMs);
    for (const victim of this.#members(change.victims)) {
      if (victim.state.kind === "draining") this.#parts.drains.callOff(victim, nowMs);
    }
  }

  /** Forgets a switch whose target is on its way; the caller takes care of the engine. */
  drop(change: Switch, because: string, nowMs: number): void {
    this.#cancel(change, because, nowMs);
  }

  /** True for the target of a switch whose wake has begun. */
  isComing(record: ModelRecord): boolean {
    return record.switch?.target === record.spec.id && record.switch.phase === "waking";
  }

  /** Returns why the target was brought up. */
  ended(target: ModelRecord, nowMs: number): SwitchCause {
    const change = target.switch;
    assert(change !== null && change.phase === "waking", `${target.spec.id} woke up without a switch`);
    this.#forget(change);
    const costMs = nowMs - (change.drainedAtMs ?? change.startedAtMs);
    const costAverageMs = this.#parts.costs.observe(change.victims, change.target, change.wokeFrom ?? 3, costMs);
    const durationMs = nowMs - change.startedAtMs;
    const { victims, target: to, cause } = change;
    this.#parts.engines.journal({ kind: "switch ended", from: victims, to, durationMs, costAverageMs }, nowMs);
    return cause;
  }

  targetFailed(target: ModelRecord, reason: Failure, nowMs: number): void {
    const change = target.switch;
    assert(change !== null && this.isComing(target), `${target.spec.id} is not on its way`);
    this.#forget(change);
    const { victims: from, target: to } = change;
    const durationMs = nowMs - change.startedAtMs;
    this.#parts.engines.journal({ kind: "switch failed", from, to, durationMs, failure: reason }, nowMs);
  }

  /** Who could make room for a wake that has found too little memory; null when nobody can, or one has already. */
  oneMoreFor(target: ModelRecord, freeBytes: number | null, nowMs: number): ModelRecord | null {
    const change = target.switch;
    // For a preload nobody has to go, and for nobody neither.
    if (change === null || change.extra !== null || !isWanted(target)) return null;
    const { devices } = this.#parts.engines;
    // One that has left for it may go further: what it has left behind may be what is in the way. Nobody's answer breaks off
    // for it: those who have not begun can come again.
    return oneMoreFor(target, { ...this.#view(nowMs), within: change }, freeBytes, (record) => {
      const { spec, state, switch: own, suspendedSinceMs } = record;
      if ((own !== null && own !== change) || suspendedSinceMs !== null) return false;
      const isFree = devices.of(spec).every(({ switch: owner }) => owner === null || owner === change);
      return isFree && (state.kind === "awake" || state.kind === "asleep");
    });
  }

  /** The target's wake goes back to the beginning, with one more who must go. */
  tryAgainWithout(extra: ModelRecord, target: ModelRecord, nowMs: number): void {
    const change = target.switch;
    assert(change !== null && change.phase === "waking", `${target.spec.id} is not on its way`);
    change.extra = extra.spec.id;
    change.phase = "draining";
    change.drainsSinceMs = nowMs;
    this.#join(change, [extra]);
    if (extra.state.kind === "asleep") {
      change.stops.push(extra.spec.id);
    } else {
      change.victims.push(extra.spec.id);
      const { level } = this.#parts.host.bedFor(extra, () => false);
      this.#parts.drains.begin(extra, level, { for: "switch" }, nowMs);
    }
    this.#proceed(change, nowMs);
  }

  /** Drops all switches where they are; the caller takes care of the engines. */
  cancelAll(because: string, nowMs: number): void {
    for (const change of this.#active) this.#cancel(change, because, nowMs);
  }

  isActive(change: Switch): boolean {
    return this.#active.has(change);
  }

  snapshot(): SwitchSnapshot[] {
    return Array.from(this.#active, ({ victims, target: to, phase, startedAtMs, cause }) => {
      return { from: [...victims], to, phase, startedAtMs, cause };
    });
  }

  /** As far as it can go now. */
  #proceed(change: Switch, nowMs: number): void {
    if (change.phase === "draining" && this.#members(change.victims).every(isDrained)) this.#drained(change, nowMs);
    if (change.phase === "evicting" && this.#evict(change, nowMs)) this.#wake(change, nowMs);
  }

  #drained(change: Switch, nowMs: number): void {
    const { engines, drainTimes } = this.#parts;
    change.phase = "evicting";
    change.drainedAtMs = nowMs;
    // What began in this very moment was chosen in it.
    if (nowMs > change.startedAtMs && change.extra === null) this.#redirect(change, nowMs);
    const drainMs = nowMs - change.drainsSinceMs;
    // One at whose gate nobody was does not drain at all.
    if (drainMs > 0) for (const id of change.victims) drainTimes.observe(id, drainMs);
    engines.journal({ kind: "drain ended", from: [...change.victims], to: change.target, drainMs }, nowMs);
  }

  /** Puts everyone away whose turn it is. True when all are. */
  #evict(change: Switch, nowMs: number): boolean {
    const { engines, drains, host, stopSleeper } = this.#parts;
    const { devices } = engines;
    for (const sleeper of this.#members(change.stops)) {
      if (sleeper.state.kind !== "asleep" || devices.changeOn(sleeper.spec) !== null) continue;
      host.onGivenUp(sleeper);
      stopSleeper(sleeper, nowMs);
    }
    // What they held of the host is what the next ones may need.
    if (this.#members(change.stops).some(({ state }) => state.kind === "asleep" || !isAway(state))) return false;
    for (const victim of this.#members(change.victims)) {
      // One that crashed during the drain is on its way out already.
      if (victim.state.kind === "draining" && !this.#someoneChangesBeside(victim)) drains.putAway(victim, nowMs);
    }
    return this.#members(change.victims).every(({ state }) => isAway(state));
  }

  #wake(change: Switch, nowMs: number): void {
    const { engines } = this.#parts;
    const target = engines.get(change.target);
    // Not only the victims: the target or another sleeper may have crashed meanwhile, and what is left of it must be gone.
    if (engines.devices.changeOn(target.spec) !== null) return;
    assert(change.cause !== "requests" || isWanted(target), `a switch to ${change.target} goes on though nobody waits`);
    change.phase = "waking";
    change.wokeFrom = wakesFrom(target.state);
    engines.bringUp(target, nowMs);
  }

  /** Demand has moved during the drain: another model may be worth more now than the one for whom it began. */
  #redirect(change: Switch, nowMs: number): void {
    const { engines, chooseAgain } = this.#parts;
    const before = engines.get(change.target);
    if (chooseAgain === null || change.cause !== "requests" || change.victims.length === 0) return;
    const view = { ...this.#view(nowMs), within: change };
    const memo = newOutlookMemo();
    const able = [...before.island.waiting].filter((record) => this.#couldTakeOver(record, change, view, memo));
    if (able.length < 2) return;
    const target = engines.get(chooseAgain(able, nowMs));
    if (target === before) return;
    const placement = placementFor(target, view);
    assert(placement.kind === "possible", `${target.spec.id} cannot take over a switch`);
    this.#leave(change);
    const spared = this.#members(change.victims.filter((id) => !placement.victims.includes(id)));
    change.target = target.spec.id;
    change.victims.splice(0, change.victims.length, ...placement.victims);
    const needsHost = this.#members(change.victims).some(({ state }) => state.kind === "draining" && state.to === 1);
    const stops = new Set([...placement.stops, ...(needsHost ? change.hostStops : [])]);
    change.stops.splice(0, change.stops.length, ...stops);
    this.#join(change, [target, ...this.#members(change.victims), ...this.#members(change.stops)]);
    engines.journal(
      { kind: "switch redirected", from: [...change.victims], before: before.spec.id, to: change.target },
      nowMs,
    );
    for (const victim of spared) if (victim.state.kind === "draining") this.#parts.drains.callOff(victim, nowMs);
  }

  #couldTakeOver(record: ModelRecord, change: Switch, view: PlacementView, memo: OutlookMemo): boolean {
    const { devices } = this.#parts.engines;
    if (record.spec.id === change.target) return true;
    if (record.switch !== null || !isAway(record.state)) return false;
    if (record.lastFailure !== null && record.retryAtMs > view.nowMs) return false;
    if (devices.of(record.spec).some(({ switch: owner }) => owner !== change)) return false;
    const placement = placementIn(record, view, memo);
    if (placement.kind === "impossible") return false;
    const { victims, stops, ends } = placement;
    // One that does not need the room that was made takes it from nobody: it comes up afterwards.
    const needsRoom = victims.length > 0 || !this.#members(change.victims).some(({ state }) => isResident(state));
    return (
      needsRoom &&
      ends.length === 0 &&
      victims.every((id) => change.victims.includes(id)) &&
      stops.every((id) => change.stops.includes(id))
    );
  }

  /** What is left of a crashed engine only comes free, which does a sleep no harm. */
  #someoneChangesBeside({ spec }: ModelRecord): boolean {
    const { engines } = this.#parts;
    return engines.devices.of(spec).some(({ inTransition }) =>
      [...inTransition].some((id) => {
        const { state } = engines.get(id);
        return state.kind !== "stopping" || state.because === null;
      }),
    );
  }

  #mayStop(sleeper: ModelRecord, change: Switch): boolean {
    if (sleeper.switch !== null) return false;
    const { devices } = this.#parts.engines;
    const isFree = devices.of(sleeper.spec).every(({ switch: owner }) => owner === null || owner === change);
    return isFree && devices.changeOn(sleeper.spec) === null;
  }

  #view(nowMs: number): PlacementView {
    const { engines, costs } = this.#parts;
    return { engines, nowMs, wakeCostMs: ({ spec }) => costs.estimateMs([], spec.id, spec.sleepLevel) };
  }

  #members(ids: readonly ModelId[]): ModelRecord[] {
    return ids.map((id) => this.#parts.engines.get(id));
  }

  #join(change: Switch, records: readonly ModelRecord[]): void {
    this.#parts.engines.devices.claim(
      records.map(({ spec }) => spec),
      change,
    );
    for (const record of records) record.switch = change;
  }

  #leave(change: Switch): void {
    const { engines, onLeft } = this.#parts;
    engines.devices.release(change);
    for (const record of this.#members([change.target, ...change.victims, ...change.stops])) {
      if (record.switch === change) record.switch = null;
      onLeft(record);
    }
  }

  #cancel(change: Switch, because: string, nowMs: number): void {
    this.#forget(change);
    const { victims: from, target: to } = change;
    this.#parts.engines.journal({ kind: "switch cancelled", from, to, because }, nowMs);
  }

  #forget(change: Switch): void {
    this.#active.delete(change);
    this.#leave(change);
  }
}

/** Somebody waits for it, or stands still on it. */
export function isWanted(record: ModelRecord): boolean {
  return record.queue.length > 0 || record.suspendedSinceMs !== null;
}
