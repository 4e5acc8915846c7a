/** As much of the scheduler's snapshot as clients get to see. */
import type { ModelSnapshot, Snapshot } from "../core/snapshot.ts";

/** Plain data. */
export interface EngineStates {
  readonly phase: Snapshot["phase"];
  readonly models: readonly Pick<ModelSnapshot, "id" | "state">[];
}

/** Takes it from the whole. */
export function engineStates({ phase, models }: Snapshot): EngineStates {
  return { phase, models: models.map(({ id, state }) => ({ id, state })) };
}
