/** The switches under way, from the drain of those who leave to the wake of the one that comes. */
import { assert } from "../base/assert.ts";
import type { Failure } from "../base/failure.ts";
import type { Admission } from "./admission.ts";
import type { Drains } from "./drains.ts";
import type { Engines, ModelRecord } from "./engines.ts";
import { mustLeave } from "./placement.ts";
import type { SwitchSnapshot } from "./snapshot.ts";
import type { SwitchCosts } from "./switch-cost.ts";
import type { Switch } from "./switch.ts";

interface Parts {
  readonly engines: Engines;
  readonly admission: Admission;
  readonly costs: SwitchCosts;
  readonly drains: Drains;
}

/** One switch at most has a device, so switches on different devices go on side by side. */
export class Switches {
  readonly #active = new Set<Switch>();
  readonly #parts: Parts;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** Why a switch to this model cannot begin now, in words; null when it can. */
  obstacleFor(target: ModelRecord): string | null {
    const { devices } = this.#parts.engines;
    const own = devices.obstacleFor(target.spec);
    if (own !== null) return own;
    if (!isAway(target)) return `its engine is ${target.state.kind}`;
    // A victim that spans more devices than the target must be free to leave all of them.
    for (const id of mustLeave(target.spec, devices)) {
      const victim = this.#parts.engines.get(id);
      if (victim.state.kind !== "awake") return `${id} is ${victim.state.kind}`;
      const obstacle = devices.obstacleFor(victim.spec);
      if (obstacle !== null) return obstacle;
    }
    return null;
  }

  begin(target: ModelRecord, because: string, nowMs: number): void {
    assert(this.obstacleFor(target) === null, `a switch to ${target.spec.id} began against an obstacle`);
    const { engines } = this.#parts;
    const victims = mustLeave(target.spec, engines.devices);
    const change: Switch = {
      target: target.spec.id,
      victims,
      startedAtMs: nowMs,
      phase: "draining",
      drainedAtMs: null,
    };
    const members = [target, ...victims.map((id) => engines.get(id))];
    engines.devices.claim(
      members.map((record) => record.spec),
      change,
    );
    this.#active.add(change);
    for (const record of members) record.switch = change;
    engines.journal({ kind: "switch started", from: victims, to: change.target, because }, nowMs);
    for (const id of victims) {
      const victim = engines.get(id);
      this.#parts.drains.begin(victim, victim.spec.sleepLevel, nowMs);
    }
    this.#evictIfDrained(change, nowMs);
  }

  victimDrained(victim: ModelRecord, nowMs: number): void {
    assert(victim.switch !== null, `${victim.spec.id} is no victim`);
    this.#evictIfDrained(victim.switch, nowMs);
  }

  /** An engine has fallen asleep or stopped: a victim, or one that died beside a switch, whose target may now come up. */
  settled(nowMs: number): void {
    for (const change of this.#active) if (change.phase === "evicting") this.#wakeIfEvicted(change, nowMs);
  }

  /** A switch for whose target nobody waits any more is called off, unless the target is on its way already. */
  waiterLeft(target: ModelRecord, nowMs: number): void {
    const change = target.switch;
    if (target.queue.length > 0) return;
    if (change === null || change.target !== target.spec.id || change.phase === "waking") return;
    this.#cancel(change, `nobody waits for ${change.target} any more`, nowMs);
    // Those that were on their way to sleep go on; it is their change that keeps their devices closed now.
    for (const id of change.victims) {
      const victim = this.#parts.engines.get(id);
      if (victim.state.kind === "draining") this.#parts.drains.callOff(victim, nowMs);
    }
  }

  /** True for the target of a switch whose wake has begun. */
  isComing(record: ModelRecord): boolean {
    return record.switch?.target === record.spec.id && record.switch.phase === "waking";
  }

  ended(target: ModelRecord, nowMs: number): void {
    const change = target.switch;
    assert(change !== null && change.phase === "waking", `${target.spec.id} woke up without a switch`);
    this.#forget(change);
    const costMs = nowMs - (change.drainedAtMs ?? change.startedAtMs);
    const costAverageMs = this.#parts.costs.observe(change.victims, change.target, costMs);
    const durationMs = nowMs - change.startedAtMs;
    const { victims: from, target: to } = change;
    this.#parts.engines.journal({ kind: "switch ended", from, to, durationMs, costAverageMs }, nowMs);
  }

  targetFailed(target: ModelRecord, reason: Failure, nowMs: number): void {
    const change = target.switch;
    assert(change !== null && this.isComing(target), `${target.spec.id} is not on its way`);
    this.#forget(change);
    const { victims: from, target: to } = change;
    const durationMs = nowMs - change.startedAtMs;
    this.#parts.engines.journal({ kind: "switch failed", from, to, durationMs, failure: reason }, nowMs);
  }

  /** Drops all switches where they are; the caller takes care of the engines. */
  cancelAll(because: string, nowMs: number): void {
    for (const change of this.#active) this.#cancel(change, because, nowMs);
  }

  isActive(change: Switch): boolean {
    return this.#active.has(change);
  }

  snapshot(): SwitchSnapshot[] {
    return Array.from(this.#active, ({ victims: from, target: to, phase, startedAtMs }) => ({
      from,
      to,
      phase,
      startedAtMs,
    }));
  }

  #evictIfDrained(change: Switch, nowMs: number): void {
    if (change.phase !== "draining") return;
    const { engines } = this.#parts;
    const victims = change.victims.map((id) => engines.get(id));
    if (victims.some((victim) => victim.leases.size > 0)) return;
    change.phase = "evicting";
    change.drainedAtMs = nowMs;
    const drainMs = nowMs - change.startedAtMs;
    engines.journal({ kind: "drain ended", from: change.victims, to: change.target, drainMs }, nowMs);
    // One that crashed during the drain is on its way out already.
    for (const victim of victims) if (victim.state.kind === "draining") engines.putAway(victim, nowMs);
    this.#wakeIfEvicted(change, nowMs);
  }

  #wakeIfEvicted(change: Switch, nowMs: number): void {
    const { engines } = this.#parts;
    const target = engines.get(change.target);
    // Not only the victims: the target or another sleeper may have crashed meanwhile, and what is left of it must be gone.
    if (engines.devices.changeOn(target.spec) !== null) return;
    assert(target.queue.length > 0, `a switch to ${change.target} goes on though nobody waits`);
    change.phase = "waking";
    engines.bringUp(target, nowMs);
  }

  #cancel(change: Switch, because: string, nowMs: number): void {
    this.#forget(change);
    const { victims: from, target: to } = change;
    this.#parts.engines.journal({ kind: "switch cancelled", from, to, because }, nowMs);
  }

  #forget(change: Switch): void {
    this.#active.delete(change);
    const { engines } = this.#parts;
    engines.devices.release(change);
    for (const id of [change.target, ...change.victims]) {
      const record = engines.get(id);
      if (record.switch === change) record.switch = null;
    }
  }
}

/** True when the engine's memory is free, but for a sleeper's residue, and nothing is under way for it. */
function isAway({ state }: ModelRecord): boolean {
  return state.kind === "asleep" || state.kind === "stopped" || state.kind === "failed";
}
