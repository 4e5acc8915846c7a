/** Closing the gate of a model and letting what runs there come to its end, or to the end of its time. */
import { failure } from "../base/failure.ts";
import type { Admission } from "./admission.ts";
import type { Engines, ModelRecord } from "./engines.ts";
import type { SleepLevel } from "./sleep-level.ts";
import type { Timers } from "./timers.ts";
import type { Visits } from "./visits.ts";

interface Parts {
  readonly engines: Engines;
  readonly admission: Admission;
  readonly timers: Timers;
  readonly visits: Visits;
  /** Then what still runs is ended, in ms; null: never. */
  readonly drainTimeoutMs: number | null;
  /** Then what still runs stands still where the engine can, and is ended where it cannot, in ms; null: never. */
  readonly drainBudgetMs: number | null;
  /** Nothing runs any more on a model that leaves for another one, or it may stand still. */
  readonly onVictimDrained: (record: ModelRecord, nowMs: number) => void;
}

/** The gate closes when a drain begins, not before; a drain ends when the last lease is back, or what runs stands still. */
export class Drains {
  readonly #parts: Parts;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** The longest that a drain for a switch can take, in ms; null: there is no limit. */
  get longestMs(): number | null {
    const { drainBudgetMs, drainTimeoutMs } = this.#parts;
    return drainBudgetMs === null ? drainTimeoutMs : Math.max(drainBudgetMs, RUN_MIN_MS);
  }

  /** `for`: only a switch is worth it to have requests stand still. */
  begin(record: ModelRecord, to: SleepLevel, what: { readonly for: "switch" | "order" }, nowMs: number): void {
    const { engines, timers, visits, drainTimeoutMs, drainBudgetMs } = this.#parts;
    visits.observe(record.spec.id, nowMs - record.awakeSinceMs);
    engines.drain(record, to, nowMs);
    if (record.leases.size === 0) return;
    const budgetMs = what.for === "switch" ? drainBudgetMs : null;
    if (budgetMs !== null) {
      const standsStill = record.spec.canSuspend === true && to !== 3;
      const runsUntilMs = standsStill ? record.awakeSinceMs + RUN_MIN_MS : nowMs;
      const spentAtMs = Math.max(nowMs + budgetMs, runsUntilMs);
      record.drainTimer = timers.add(spentAtMs, (atMs) => this.#spent(record, budgetMs, atMs));
    } else if (drainTimeoutMs !== null) {
      record.drainTimer = timers.add(nowMs + drainTimeoutMs, (atMs) => this.#end(record, drainTimeoutMs, atMs));
    }
  }

  /** Nothing runs on it any more: it can be put away. */
  ended(record: ModelRecord, nowMs: number): void {
    this.forget(record);
    if (record.switch !== null) this.#parts.onVictimDrained(record, nowMs);
    else this.#parts.engines.putAway(record, nowMs);
  }

  /** Puts a victim away. What still runs there stands still from now on, and not while others are drained beside it. */
  putAway(victim: ModelRecord, nowMs: number): void {
    const { admission, engines } = this.#parts;
    if (victim.leases.size > 0) admission.suspend(victim, nowMs);
    this.forget(victim);
    engines.putAway(victim, nowMs);
  }

  /** Drains for the end of llmux: to a stop, and for as long as the shutdown lasts. */
  beginLast(record: ModelRecord, nowMs: number): void {
    this.forget(record);
    this.#parts.engines.drain(record, 3, nowMs);
  }

  /** The time limit is over, because the drain is: well, by a crash, or called off. */
  forget(record: ModelRecord): void {
    this.#parts.timers.cancel(record.drainTimer);
    record.drainTimer = null;
    record.drainIsSpent = false;
  }

  /** A drain is called off: the gate opens again. */
  callOff(record: ModelRecord, nowMs: number): void {
    this.forget(record);
    this.#parts.engines.open(record, nowMs);
    this.#parts.admission.grantWaiting(record, nowMs);
  }

  #spent(record: ModelRecord, budgetMs: number, nowMs: number): void {
    const staysAlive = record.state.kind === "draining" && record.state.to !== 3;
    if (record.spec.canSuspend !== true || !staysAlive) return this.#end(record, budgetMs, nowMs);
    record.drainTimer = null;
    record.drainIsSpent = true;
    this.#parts.onVictimDrained(record, nowMs);
  }

  #end(record: ModelRecord, limitMs: number, nowMs: number): void {
    const limit = `${limitMs / 1000} s`;
    const message = `model ${record.spec.id} had to make room, and the request did not end within ${limit}`;
    this.#parts.admission.revokeAll(record, failure("drain_timeout", message), nowMs);
  }
}

/** What has gone on after a wake does not stand still again sooner, in ms: two models could else take turns without serving anyone. */
const RUN_MIN_MS = 1_000;

/** Whether nothing runs on it any more that may not stand still; one that sleeps already has been drained. */
export function isDrained(record: ModelRecord): boolean {
  return record.leases.size === 0 || record.drainIsSpent || record.state.kind === "asleep";
}
