/** What a run leaves of the scheduler's journal: who was in which state when, and what the switches took. */
import type { EngineStateKind } from "../core/engine-state.ts";
import type { JournalEntry } from "../core/journal.ts";
import type { ModelId } from "../core/model.ts";

/** A model's engine was in one state from one moment to another. */
export interface StateSpan {
  readonly model: ModelId;
  readonly state: EngineStateKind;
  readonly fromMs: number;
  readonly toMs: number;
  /** How many of its requests stood still meanwhile. */
  readonly suspended: number;
}

/** One switch, or as much of it as the run has seen. */
export interface SwitchSpan {
  readonly from: readonly ModelId[];
  readonly to: ModelId;
  readonly startedAtMs: number;
  /** From its start until nothing ran on those that left. */
  readonly drainMs: number;
  /** From there until the target was awake: sleep and wake. */
  readonly changeMs: number;
  readonly outcome: "ended" | "cancelled" | "failed" | "under way";
}

interface Underway {
  readonly from: readonly ModelId[];
  readonly startedAtMs: number;
  drainedAtMs: number | null;
}

/** Hears the journal of one run. */
export class History {
  readonly states: StateSpan[] = [];
  readonly switches: SwitchSpan[] = [];
  readonly #now = new Map<ModelId, { state: EngineStateKind; sinceMs: number }>();
  /** By model, from the moment at which its requests were made to stand still until it is awake again. */
  readonly #suspended = new Map<ModelId, number>();
  /** By target: no model is the target of two. */
  readonly #underway = new Map<ModelId, Underway>();

  /** `states`: where every engine is at the beginning. */
  constructor(states: Iterable<readonly [ModelId, EngineStateKind]>) {
    for (const [model, state] of states) this.#now.set(model, { state, sinceMs: 0 });
  }

  record(entry: JournalEntry): void {
    const { kind, atMs } = entry;
    if (kind === "state changed") {
      this.#enter(entry.model, entry.to.kind, atMs);
    } else if (kind === "requests suspended") {
      this.#suspended.set(entry.model, entry.requests);
    } else if (kind === "switch started") {
      this.#underway.set(entry.to, { from: entry.from, startedAtMs: atMs, drainedAtMs: null });
    } else if (kind === "drain ended") {
      const change = this.#underway.get(entry.to);
      if (change !== undefined) change.drainedAtMs = atMs;
    } else if (kind === "switch ended") {
      this.#leave(entry.to, "ended", atMs);
    } else if (kind === "switch cancelled") {
      this.#leave(entry.to, "cancelled", atMs);
    } else if (kind === "switch failed") {
      this.#leave(entry.to, "failed", atMs);
    }
  }

  /** Closes what is open at the end of the run. */
  end(atMs: number): void {
    for (const [model, { state }] of this.#now) this.#enter(model, state, atMs);
    for (const to of this.#underway.keys()) this.#leave(to, "under way", atMs);
  }

  #enter(model: ModelId, state: EngineStateKind, atMs: number): void {
    const before = this.#now.get(model);
    if (before !== undefined) {
      const { state: was, sinceMs: fromMs } = before;
      // The drain is over when they begin to stand still.
      const suspended = was === "draining" ? 0 : (this.#suspended.get(model) ?? 0);
      this.states.push({ model, state: was, fromMs, toMs: atMs, suspended });
    }
    if (state === "awake") this.#suspended.delete(model);
    this.#now.set(model, { state, sinceMs: atMs });
  }

  #leave(to: ModelId, outcome: SwitchSpan["outcome"], atMs: number): void {
    const change = this.#underway.get(to);
    if (change === undefined) return;
    this.#underway.delete(to);
    const { from, startedAtMs } = change;
    const drainedAtMs = change.drainedAtMs ?? atMs;
    this.switches.push({
      from,
      to,
      startedAtMs,
      drainMs: drainedAtMs - startedAtMs,
      changeMs: atMs - drainedAtMs,
      outcome,
    });
  }
}
