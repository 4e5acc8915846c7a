/** What the scheduler may ask of an engine, and when. */
import type { ModelId } from "../src/core/model.ts";
import type { LiveSleepLevel } from "../src/core/sleep-level.ts";
import type { SimulatedEngine } from "./engines.ts";
import { demand } from "./violation.ts";
import { isAway, isChanging, leasesOut, neighbours, type View } from "./view.ts";

const FIRST_BACKOFF_MS = 2000;
const BACKOFF_MAX_MS = 300_000;

/** Checked at every order, before the engine obeys. */
export class EngineRules {
  readonly #view: View;
  /** Failures in a row and when the next start is allowed, kept in parallel to the scheduler's own count. */
  readonly #failuresInRow = new Map<ModelId, number>();
  readonly #notBeforeMs = new Map<ModelId, number>();

  constructor(view: View) {
    this.#view = view;
  }

  onStart(engine: SimulatedEngine): void {
    demand(engine.phase === "off", "order fits the engine", () => `${engine.id} is started while ${engine.phase}`);
    this.#comesUp(engine);
  }

  onWake(engine: SimulatedEngine, from: LiveSleepLevel): void {
    const fits = engine.phase === "asleep" && engine.level === from;
    demand(fits, "order fits the engine", () => `${engine.id} is woken from level ${from} while ${engine.phase}`);
    this.#comesUp(engine);
  }

  onSleep(engine: SimulatedEngine): void {
    demand(engine.phase === "up", "order fits the engine", () => `${engine.id} is put to sleep while ${engine.phase}`);
    this.#isDrained(engine);
    this.#aloneInChange(engine);
  }

  onStop(engine: SimulatedEngine): void {
    const fits = engine.phase !== "off" && engine.phase !== "stopping";
    demand(fits, "order fits the engine", () => `${engine.id} is stopped while ${engine.phase}`);
    this.#isDrained(engine);
    if (!engine.cleaning && !isChanging(engine) && !this.#view.shuttingDown) this.#aloneInChange(engine);
  }

  /** A start, a wake, or the process has failed; told to the scheduler now. */
  onFailed(engine: SimulatedEngine, kind: "failed wake" | "crash"): void {
    const nowMs = this.#view.clock.nowMs;
    if (engine.phase === "asleep" || engine.phase === "falling asleep") return;
    const failures = (this.#failuresInRow.get(engine.id) ?? 0) + 1;
    this.#failuresInRow.set(engine.id, failures);
    // The first restart after a crash is free.
    const doublings = kind === "crash" ? failures - 2 : failures - 1;
    const delayMs = doublings < 0 ? 0 : Math.min(FIRST_BACKOFF_MS * 2 ** doublings, BACKOFF_MAX_MS);
    this.#notBeforeMs.set(engine.id, nowMs + delayMs);
  }

  onServed(model: ModelId): void {
    this.#failuresInRow.delete(model);
  }

  #comesUp(engine: SimulatedEngine): void {
    const { id } = engine;
    demand(!this.#view.shuttingDown, "shutdown wakes nobody", () => `${id} comes up though all is being shut down`);
    for (const other of neighbours(this.#view, engine)) {
      demand(isAway(other), "one model a device", () => `${id} comes up while ${other.id} is ${other.phase} there`);
    }
    const notBeforeMs = this.#notBeforeMs.get(id) ?? 0;
    const early = (): string => `${id} is tried again ${notBeforeMs - this.#view.clock.nowMs} ms early`;
    demand(this.#view.clock.nowMs >= notBeforeMs, "backoff", early);
  }

  #isDrained(engine: SimulatedEngine): void {
    const out = leasesOut(this.#view, engine.id);
    demand(out === 0, "put away only when drained", () => `${engine.id} is put away with ${out} leases out`);
  }

  #aloneInChange(engine: SimulatedEngine): void {
    for (const other of neighbours(this.#view, engine)) {
      const alone =
        !isChanging(other) || (other.cleaning && (other.phase === "stopping" || other.phase === "left behind"));
      demand(alone, "one transition a device", () => `${engine.id} changes while ${other.id} is ${other.phase} there`);
    }
  }
}
