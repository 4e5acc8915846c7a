/** Down a step, if nobody has wanted a model for long: awake to asleep, asleep to stopped. */
import type { ModelRecord } from "./engines.ts";
import { isUsed } from "./placement.ts";
import type { Timers } from "./timers.ts";

interface Parts {
  readonly timers: Timers;
  /** From awake and unused to asleep, in ms; null: never. */
  readonly sleepAfterMs: number | null;
  /** From asleep to stopped, in ms; null: never. */
  readonly stopAfterMs: number | null;
  /** Takes the step; false when it cannot be taken now. */
  readonly step: (record: ModelRecord, to: "sleep" | "stop", nowMs: number) => boolean;
}

/** A step that something is in the way of is tried again after this, in ms. */
const RETRY_MS = 1_000;

/** One timer for each model at most; use does not move it, it looks for itself when it goes off. */
export class IdleLadder {
  readonly #parts: Parts;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** To be called when a model has come to rest: awake without a request, or asleep. */
  rests(record: ModelRecord, nowMs: number): void {
    const dueAtMs = this.#dueAtMs(record);
    // An earlier one looks for itself; a later one was for another step.
    if (dueAtMs === null || (record.idleTimer !== null && record.idleTimer.atMs <= dueAtMs)) return;
    this.#parts.timers.cancel(record.idleTimer);
    record.idleTimer = this.#parts.timers.add(Math.max(dueAtMs, nowMs), (atMs) => this.#look(record, atMs));
  }

  #look(record: ModelRecord, nowMs: number): void {
    record.idleTimer = null;
    const dueAtMs = this.#dueAtMs(record);
    if (dueAtMs === null) return;
    const isDue = dueAtMs <= nowMs;
    if (isDue && !isUsed(record) && this.#parts.step(record, nextStep(record), nowMs)) return;
    record.idleTimer ??= this.#parts.timers.add(isDue ? nowMs + RETRY_MS : dueAtMs, (atMs) => this.#look(record, atMs));
  }

  /** When it goes down a step if nothing happens; null: not from where it is. */
  #dueAtMs(record: ModelRecord): number | null {
    const { state, spec, lastUsedAtMs, stateSinceMs, suspendedSinceMs } = record;
    const { sleepAfterMs, stopAfterMs } = this.#parts;
    // A drain may be called off.
    if (state.kind === "awake" || state.kind === "draining") {
      if (sleepAfterMs === null || spec.pinned === true || isUsed(record)) return null;
      return Math.max(lastUsedAtMs, record.awakeSinceMs) + sleepAfterMs;
    }
    if (state.kind !== "asleep" || stopAfterMs === null || suspendedSinceMs !== null) return null;
    return stateSinceMs + stopAfterMs;
  }
}

function nextStep({ state }: ModelRecord): "sleep" | "stop" {
  return state.kind === "asleep" ? "stop" : "sleep";
}
