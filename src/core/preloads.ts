/** The models that are brought up before anybody asks for them, so that their first request pays a wake and not a start. */
import type { Engines, ModelRecord } from "./engines.ts";
import { isUsed } from "./placement.ts";
import type { Switches } from "./switches.ts";

interface Parts {
  readonly engines: Engines;
  readonly switches: Switches;
}

/** A model that is awake is made to leave for a preload only when nobody has used it for so long, in ms. */
const QUIET_MS = 5_000;

/** One after another on each island, in the order of the configuration, and only while nobody waits there. */
export class Preloads {
  readonly #parts: Parts;
  readonly #left = new Set<ModelRecord>();

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** Before this there is nothing to bring up. */
  begin(): void {
    for (const record of this.#parts.engines.all()) {
      if (record.spec.preload === true) this.#left.add(record);
    }
  }

  /** The next one that can begin; null while there is none. */
  next(nowMs: number): ModelRecord | null {
    for (const record of this.#left) {
      const { spec, state, island, lastFailure, retryAtMs } = record;
      // A pinned one is to be awake, any other one only to be there.
      const isThere = spec.pinned === true ? state.kind === "awake" : state.kind === "asleep" || state.kind === "awake";
      const isSettled = isThere || this.#parts.switches.isHopeless(record, nowMs);
      if (isSettled) this.#left.delete(record);
      if (isSettled || island.waiting.size > 0 || (lastFailure !== null && retryAtMs > nowMs)) continue;
      const isQuiet = (victim: ModelRecord): boolean => !isUsed(victim) && nowMs >= victim.lastUsedAtMs + QUIET_MS;
      if (this.#parts.switches.couldBeginUnnoticed(record, isQuiet, nowMs)) return record;
    }
    return null;
  }

  get isDone(): boolean {
    return this.#left.size === 0;
  }

  /** One that is to be awake all the time is not any more: it comes up again as soon as it may. */
  again(record: ModelRecord): void {
    this.#left.add(record);
  }

  /** It is not tried again: it was started, its start has failed, or an operator has put it away. */
  done(record: ModelRecord): void {
    this.#left.delete(record);
  }
}
