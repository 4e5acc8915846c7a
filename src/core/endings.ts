/** Engines that end: because they have died or failed, or because they are told to. */
import type { Failure } from "../base/failure.ts";
import { failure } from "../base/failure.ts";
import type { Admission } from "./admission.ts";
import { retryDelayMs } from "./backoff.ts";
import type { Deciding } from "./deciding.ts";
import type { Drains } from "./drains.ts";
import type { Engines, ModelRecord } from "./engines.ts";
import { sizeText } from "./memory.ts";
import type { Preloads } from "./preloads.ts";
import type { Switches } from "./switches.ts";
import type { Timers } from "./timers.ts";

interface Parts {
  readonly engines: Engines;
  readonly admission: Admission;
  readonly timers: Timers;
  readonly drains: Drains;
  readonly switches: Switches;
  readonly preloads: Preloads;
  readonly deciding: Deciding;
}

/** What follows for requests and switches when an engine ends. */
export class Endings {
  readonly #parts: Parts;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** A start or a wake has failed. Where memory was missing it is tried once more with more room, if that can be made. */
  wakeFailed(record: ModelRecord, reason: Failure, nowMs: number): void {
    if (reason.code !== "out_of_memory") this.fail(record, "failed wake", reason, nowMs);
    else if (!this.#retryWithMore(record, reason, nowMs)) {
      this.fail(record, "failed wake", withMemory(reason, record, this.#parts.engines), nowMs);
    }
  }

  /** The engine is gone or must go, and that was not asked for. */
  fail(record: ModelRecord, kind: "crash" | "failed wake", reason: Failure, nowMs: number): void {
    const { engines, admission, drains, switches, preloads, deciding } = this.#parts;
    const wasAsleep = record.state.kind === "asleep" || record.state.kind === "falling asleep";
    // Nobody was using a sleeping engine: its death says nothing about the next start.
    if (!wasAsleep) record.failuresInRow += 1;
    const delayMs = wasAsleep ? 0 : retryDelayMs(kind, record.failuresInRow, record.spec.retryMaxMs);
    record.lastFailure = reason;
    record.retryAtMs = nowMs + delayMs;
    drains.forget(record);
    admission.voidAll(record, reason, nowMs);
    const wasComing = switches.isComing(record);
    engines.stop(record, reason, nowMs);
    if (wasComing) switches.targetFailed(record, reason, nowMs);
    if (delayMs > 0) admission.refuseAllWaiting(record, withRetryAfter(reason, delayMs), nowMs);
    // What stood still on it may have been all that wanted it.
    const isCalledOff = switches.waiterLeft(record, nowMs);
    if (!wasComing && !isCalledOff && record.switch !== null) switches.victimDrained(record, nowMs);
    if (record.spec.pinned === true) preloads.again(record);
    else preloads.done(record);
    deciding.changed(record);
  }

  /**
   * Ends an engine that may be well. What stands still on it hears why before the engine is told: many end what runs on them as
   * if it were complete.
   */
  stop(record: ModelRecord, reason: Failure, nowMs: number): void {
    this.#parts.admission.voidAll(record, reason, nowMs);
    this.#parts.engines.stop(record, null, nowMs);
  }

  /** Something of it is left: it is tried again later, unless it was the last try. */
  stopFailed(record: ModelRecord, reason: Failure, givesUp: boolean, nowMs: number): void {
    const { engines, timers } = this.#parts;
    record.lastFailure = reason;
    const retryAtMs = givesUp ? null : nowMs + retryDelayMs("failed wake", record.failedStops);
    engines.journal({ kind: "stop failed", model: record.spec.id, failure: reason, retryAtMs }, nowMs);
    if (retryAtMs === null) engines.stopped(record, nowMs);
    else record.stopTimer = timers.add(retryAtMs, () => engines.stopAgain(record));
  }

  /** Too little memory was free for a wake or a start: one more must go, and it is tried again. False if that is not possible. */
  #retryWithMore(record: ModelRecord, reason: Failure, nowMs: number): boolean {
    const { engines, switches } = this.#parts;
    const extra = switches.oneMoreFor(record, reason.freeBytes ?? null, nowMs);
    if (extra === null) return false;
    const { id: model } = record.spec;
    engines.journal({ kind: "wake retried", model, evicting: extra.spec.id, failure: reason }, nowMs);
    if (record.state.kind === "waking") engines.asleepStill(record, nowMs);
    else engines.stop(record, null, nowMs);
    switches.tryAgainWithout(extra, record, nowMs);
    return true;
  }
}

/** The same reason, and when it makes sense to ask again. */
export function withRetryAfter(reason: Failure, retryAfterMs: number): Failure {
  return { ...reason, retryAfterMs };
}

/** Why requests end that stand still on a sleeper which must make room. */
export function noRoomLeft({ spec }: ModelRecord): Failure {
  const message = `the sleeping engine of model ${spec.id} had to end so that another model has room, and what stood still on it with it`;
  return failure("drain_timeout", message);
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
