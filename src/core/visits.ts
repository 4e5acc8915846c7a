/** How long models stay awake once they are: a moving average for each, for policies that weigh a visit against its cost. */
import type { ModelId } from "./model.ts";

/** Believed until a visit has been measured, in ms. */
const PRIOR_MS = 5_000;

/** Weight of the newest measurement. */
const NEWEST_SHARE = 0.3;

/** From the moment at which a model is awake to the moment at which its gate closes. */
export class Visits {
  readonly #averageMs = new Map<ModelId, number>();

  observe(model: ModelId, lastedMs: number): void {
    const before = this.estimateMs(model);
    this.#averageMs.set(model, before + NEWEST_SHARE * (lastedMs - before));
  }

  estimateMs(model: ModelId): number {
    return this.#averageMs.get(model) ?? PRIOR_MS;
  }
}
