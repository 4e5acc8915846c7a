/** The models that are brought up before anybody asks for them, so that their first request pays a wake and not a start. */
import type { Engines, ModelRecord } from "./engines.ts";
import type { ModelId } from "./model.ts";
import { isUsed } from "./placement.ts";
import { isWanted, type Switches } from "./switches.ts";
import type { Timer, Timers } from "./timers.ts";

interface Parts {
  readonly engines: Engines;
  readonly switches: Switches;
  readonly timers: Timers;
}

/** A model that is awake is made to leave for a preload only when nobody has used it for so long, in ms. */
const QUIET_MS = 5_000;

/** While some are left, it is looked at least so often whether one can begin, in ms. */
const LOOK_MS = 1_000;

/** One after another on each island, in the order of the configuration, and only while nobody waits there. */
export class Preloads {
  readonly #parts: Parts;
  readonly #left = new Set<ModelRecord>();
  /** Something has changed since it was looked last. */
  #isDue = false;
  #timer: Timer | null = null;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** Before this there is nothing to bring up. */
  begin(): void {
    for (const record of this.#parts.engines.all()) if (record.spec.preload === true) this.again(record);
  }

  /** An engine has changed: perhaps another one can begin. */
  changed(): void {
    this.#isDue = true;
  }

  /** Begins what can begin, if anything has changed. */
  look(nowMs: number): void {
    if (!this.#isDue) return;
    this.#isDue = false;
    for (const record of this.#left) this.#consider(record, nowMs);
    if (this.#left.size === 0 || this.#timer !== null) return;
    this.#timer = this.#parts.timers.add(nowMs + LOOK_MS, () => {
      this.#timer = null;
      this.#isDue = true;
    });
  }

  /** One that is to be awake all the time is not any more: it comes up again as soon as it may. */
  again(record: ModelRecord): void {
    this.#left.add(record);
    this.#isDue = true;
  }

  /** It is not tried again: it was started, its start has failed, or an operator has put it away. */
  done(record: ModelRecord): void {
    this.#left.delete(record);
  }

  /** Whoever asks for a model does not wait until another one is there for which nobody has asked. */
  breakOffFor(record: ModelRecord, nowMs: number): void {
    if (record.state.kind === "awake") return;
    const { engines, switches } = this.#parts;
    for (const { switch: change } of engines.devices.of(record.spec)) {
      if (change === null || change.cause !== "preload" || change.target === record.spec.id) continue;
      const target = engines.get(change.target);
      if (isWanted(target)) continue;
      const because = `a request for ${record.spec.id} has come`;
      if (change.phase !== "waking") {
        switches.callOff(change, because, nowMs);
      } else {
        switches.drop(change, because, nowMs);
        engines.stop(target, null, nowMs);
      }
    }
  }

  #consider(record: ModelRecord, nowMs: number): void {
    const { switches } = this.#parts;
    const { spec, state, island, lastFailure, retryAtMs } = record;
    // A pinned one is to be awake, any other one only to be there.
    const isThere = state.kind === "awake" || (state.kind === "asleep" && spec.pinned !== true);
    if (isThere) return this.done(record);
    if (island.waiting.size > 0 || (lastFailure !== null && retryAtMs > nowMs)) return;
    const { victims, endsOthers, obstacle, isPossible } = switches.outlookFor(record, nowMs);
    // There is no room for it, or for one who sleeps there: nobody would gain if they took turns to be started. That can be told
    // only while nobody changes there.
    const isVain = !isPossible || (endsOthers && spec.pinned !== true);
    if (isVain && this.#parts.engines.devices.obstacleFor(spec) === null) return this.done(record);
    if (isVain || obstacle !== null || !victims.every((id) => this.#isQuiet(id, nowMs))) return;
    const because = "it is to be there before its first request";
    switches.begin(record, { cause: "preload", because, compared: [] }, nowMs);
  }

  #isQuiet(id: ModelId, nowMs: number): boolean {
    const victim = this.#parts.engines.get(id);
    return !isUsed(victim) && nowMs >= victim.lastUsedAtMs + QUIET_MS;
  }
}
