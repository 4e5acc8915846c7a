/** The end of llmux: nobody is let in any more, what runs may end, then every engine is stopped. */
import { failure, type Failure } from "../base/failure.ts";
import type { Admission } from "./admission.ts";
import type { Drains } from "./drains.ts";
import type { Effects } from "./effects.ts";
import type { Endings } from "./endings.ts";
import type { Engines, ModelRecord } from "./engines.ts";
import type { Snapshot } from "./snapshot.ts";
import type { Switches } from "./switches.ts";
import type { Timers } from "./timers.ts";

interface Parts {
  readonly effects: Effects;
  readonly engines: Engines;
  readonly admission: Admission;
  readonly timers: Timers;
  readonly drains: Drains;
  readonly switches: Switches;
  readonly endings: Endings;
}

/** What requests and operators are told from its beginning on. */
export const SHUTTING_DOWN: Failure = failure("shutting_down", "llmux is shutting down and takes no more requests");

/** After so many failed stops in a row it ends without the engine. */
const STOPS_MAX = 3;

/** From "running" to "finished". */
export class Shutdown {
  readonly #parts: Parts;
  #phase: Snapshot["phase"] = "running";

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  get phase(): Snapshot["phase"] {
    return this.#phase;
  }

  /** Running requests may go on for `timeoutMs`. */
  begin(timeoutMs: number, nowMs: number): void {
    const { engines, admission, switches, timers } = this.#parts;
    this.#phase = "shutting down";
    engines.journal({ kind: "shutdown started", inFlight: admission.leasesOut }, nowMs);
    for (const record of engines.all()) admission.refuseAllWaiting(record, SHUTTING_DOWN, nowMs);
    switches.cancelAll("llmux is shutting down", nowMs);
    for (const record of engines.all()) this.#end(record, nowMs);
    timers.add(nowMs + timeoutMs, (atMs) => {
      for (const record of engines.all()) admission.revokeAll(record, SHUTTING_DOWN, atMs);
    });
    this.finishIfDone(nowMs);
  }

  /** To be called when an engine is gone, or a request. */
  finishIfDone(nowMs: number): void {
    const { effects, engines, admission, timers } = this.#parts;
    if (this.#phase !== "shutting down" || admission.leasesOut > 0) return;
    for (const { state } of engines.all()) if (state.kind !== "stopped" && state.kind !== "failed") return;
    this.#phase = "finished";
    timers.clear();
    engines.journal({ kind: "shutdown ended" }, nowMs);
    effects.finished();
  }

  /** Whether it does not wait any longer for this engine, which does not stop. */
  givesUp({ failedStops }: ModelRecord): boolean {
    return this.#phase !== "running" && failedStops >= STOPS_MAX;
  }

  #end(record: ModelRecord, nowMs: number): void {
    const { engines, timers, drains, endings } = this.#parts;
    switch (record.state.kind) {
      case "awake":
      case "draining":
        drains.beginLast(record, nowMs);
        if (record.leases.size === 0) engines.putAway(record, nowMs);
        return;
      case "starting":
      case "waking":
      case "falling asleep":
      case "asleep":
        return endings.stop(record, SHUTTING_DOWN, nowMs);
      case "stopping":
        // One that waits for its next try does not wait any longer; any other stop is under way.
        if (record.stopTimer === null) return;
        timers.cancel(record.stopTimer);
        return engines.stopAgain(record);
      case "stopped":
      case "failed":
        return;
    }
  }
}
