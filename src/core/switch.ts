/** One change of who is awake: drain those who must leave, put them away, wake the one that is wanted. */
import type { ModelId } from "./model.ts";
import type { SleepLevel } from "./sleep-level.ts";

/**
 * | phase    | until                                      | can be cancelled                         |
 * |----------|--------------------------------------------|------------------------------------------|
 * | draining | nothing runs on a victim, or it stands still | yes: the victims' gates open again     |
 * | evicting | all are away, and nobody's memory changes on its devices | yes: no wake follows       |
 * | waking   | the target is awake, or has failed         | no: it will be wanted                    |
 */
export type SwitchPhase = "draining" | "evicting" | "waking";

/** Why a model is brought up: requests wait for it, or it is meant to be ready before they come. */
export type SwitchCause = "requests" | "preload";

/** A switch under way. Its members belong to no other switch. */
export interface Switch {
  target: ModelId;
  /** They are drained and put away. */
  readonly victims: ModelId[];
  /** They sleep, and their processes end. */
  readonly stops: ModelId[];
  /** Those of them who end for the sake of the host's memory, which victims are to have. */
  readonly hostStops: ModelId[];
  readonly cause: SwitchCause;
  readonly startedAtMs: number;
  /** When it began to drain, which it does again if a wake has found too little memory. */
  drainsSinceMs: number;
  phase: SwitchPhase;
  drainedAtMs: number | null;
  /** From which level the target comes up; null before its wake has begun. */
  wokeFrom: SleepLevel | null;
  /** Whom one more had to make room for, after a wake had found too little memory; null: that has not happened. */
  extra: ModelId | null;
}

/** How metrics and logs name the side that leaves: the victims, or "idle" when nobody had to leave: dashboards know this word. */
export function fromLabel(victims: readonly ModelId[]): string {
  const [only] = victims;
  if (only === undefined) return "idle";
  return victims.length === 1 ? only : victims.join("+");
}
