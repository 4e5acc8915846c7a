/** Notices when a surge of requests is over. */

/** Fewer are no surge. */
const SURGE_MIN = 1_000;

/** A surge is over when this share of it is left. */
const LEFT_SHARE = 0.1;

/** Follows one count. */
export class Surge {
  readonly #onOver: () => void;
  #peak = 0;

  /** `onOver` is called once for each surge. */
  constructor(onOver: () => void) {
    this.#onOver = onOver;
  }

  /** To be told every change of the count. */
  onCount(count: number): void {
    if (count > this.#peak) this.#peak = count;
    else if (this.#peak >= SURGE_MIN && count <= this.#peak * LEFT_SHARE) {
      this.#peak = count;
      this.#onOver();
    }
  }
}
