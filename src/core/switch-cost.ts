/** What a switch costs, as measured: a moving average for each pair of who left and who came. */
import { fromLabel } from "./switch.ts";
import type { ModelId } from "./model.ts";

/** Weight of the newest measurement. */
const NEWEST_SHARE = 0.3;

/** Believed until a pair has been measured, in ms: between a level-1 wake of a small model and of a large one. */
const PRIOR_MS = 3_000;

/** Sleep plus wake of a switch, drain left out, in ms. */
export class SwitchCosts {
  readonly #averageMs = new Map<string, number>();

  /** Takes a measurement in and returns the new average. */
  observe(victims: readonly ModelId[], target: ModelId, costMs: number): number {
    const key = pairKey(victims, target);
    const before = this.#averageMs.get(key);
    const after = before === undefined ? costMs : before + NEWEST_SHARE * (costMs - before);
    this.#averageMs.set(key, after);
    return after;
  }

  estimateMs(victims: readonly ModelId[], target: ModelId): number {
    return this.#averageMs.get(pairKey(victims, target)) ?? PRIOR_MS;
  }
}

function pairKey(victims: readonly ModelId[], target: ModelId): string {
  return `${fromLabel(victims)}\u0000${target}`;
}
