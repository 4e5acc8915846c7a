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
  /** In ms; null: until the last request has ended. */
  readonly drainTimeoutMs: number | null;
}

/** The gate closes when a drain begins, not before; a drain ends when the last lease is back. */
export class Drains {
  readonly #parts: Parts;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  begin(record: ModelRecord, to: SleepLevel, nowMs: number): void {
    const { engines, admission, timers, visits, drainTimeoutMs } = this.#parts;
    visits.observe(record.spec.id, nowMs - record.awakeSinceMs);
    engines.drain(record, to, nowMs);
    if (record.leases.size === 0 || drainTimeoutMs === null) return;
    const limit = `${drainTimeoutMs / 1000} s`;
    const message = `model ${record.spec.id} had to make room, and the request did not end within ${limit}`;
    record.drainTimer = timers.add(nowMs + drainTimeoutMs, (atMs) => {
      admission.revokeAll(record, failure("drain_timeout", message), atMs);
    });
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
  }

  /** A drain is called off: the gate opens again. */
  callOff(record: ModelRecord, nowMs: number): void {
    this.forget(record);
    this.#parts.engines.open(record, nowMs);
    this.#parts.admission.grantWaiting(record, nowMs);
  }
}
