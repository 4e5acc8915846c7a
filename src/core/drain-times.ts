/** How long models take to come to rest once their gate is closed: a moving average for each. A switch is to begin so much earlier. */
import type { ModelId } from "./model.ts";

/** Weight of the newest measurement. */
const NEWEST_SHARE = 0.3;

/** Of models that had requests when their gate closed. */
export class DrainTimes {
  readonly #averageMs = new Map<ModelId, number>();

  observe(model: ModelId, lastedMs: number): void {
    const before = this.#averageMs.get(model) ?? lastedMs;
    this.#averageMs.set(model, before + NEWEST_SHARE * (lastedMs - before));
  }

  /** In ms; 0 until one has been measured. */
  estimateMs(model: ModelId): number {
    return this.#averageMs.get(model) ?? 0;
  }
}
