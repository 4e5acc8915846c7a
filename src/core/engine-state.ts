/** The states of one engine and the moves between them. A move that is not in the table is a bug of ours. */
import { assert } from "../base/assert.ts";
import type { Failure } from "../base/failure.ts";
import type { LiveSleepLevel, SleepLevel } from "./sleep-level.ts";

/**
 * | state         | GPU memory held     | requests            |
 * |---------------|---------------------|---------------------|
 * | stopped       | none                | wait                |
 * | starting      | growing             | wait                |
 * | awake         | all                 | go through          |
 * | draining      | all                 | new ones wait, running ones finish |
 * | falling asleep| shrinking           | wait                |
 * | asleep        | a residue           | wait                |
 * | waking        | growing             | wait                |
 * | stopping      | until proven gone   | wait, or refused while a failure's backoff lasts |
 * | failed        | none                | refused until `retryAtMs`, then as if stopped    |
 */
export type EngineState =
  | { readonly kind: "stopped" }
  | { readonly kind: "starting" }
  | { readonly kind: "awake" }
  | { readonly kind: "draining"; readonly to: SleepLevel }
  | { readonly kind: "falling asleep"; readonly to: LiveSleepLevel }
  | { readonly kind: "asleep"; readonly level: LiveSleepLevel }
  | { readonly kind: "waking"; readonly from: LiveSleepLevel }
  /** `because`: the failure that made us stop it; null when it was asked for. */
  | { readonly kind: "stopping"; readonly because: Failure | null }
  | { readonly kind: "failed"; readonly failure: Failure; readonly retryAtMs: number };

/** The name of a state. */
export type EngineStateKind = EngineState["kind"];

const MOVES: Readonly<Record<EngineStateKind, readonly EngineStateKind[]>> = {
  stopped: ["starting"],
  starting: ["awake", "stopping"],
  awake: ["draining", "stopping"],
  draining: ["awake", "draining", "falling asleep", "stopping"],
  "falling asleep": ["asleep", "stopping"],
  asleep: ["waking", "stopping"],
  waking: ["awake", "asleep", "stopping"],
  stopping: ["stopped", "failed"],
  failed: ["starting"],
};

/** Throws `AssertionError` when an engine cannot go from `from` to `to`. */
export function assertMove(model: string, from: EngineStateKind, to: EngineStateKind): void {
  assert(MOVES[from].includes(to), `${model}: an engine cannot go from "${from}" to "${to}"`);
}

/** True while the engine's GPU memory is changing: nothing else may change on its devices meanwhile. */
export function inTransition(state: EngineState): boolean {
  return (
    state.kind === "starting" || state.kind === "falling asleep" || state.kind === "waking" || state.kind === "stopping"
  );
}

/** True while the engine holds all the memory it needs to serve. */
export function isResident(state: EngineState): boolean {
  return state.kind === "awake" || state.kind === "draining";
}

/** True when the engine's memory is free, but for a sleeper's residue, and nothing is under way for it. */
export function isAway(state: EngineState): boolean {
  return state.kind === "asleep" || state.kind === "stopped" || state.kind === "failed";
}

/** From which level it would come up now; 3: it would have to be started. */
export function wakesFrom(state: EngineState): SleepLevel {
  return state.kind === "asleep" ? state.level : 3;
}
