/**
 * Things in the order in which they came, each taken out again from wherever it stands: requests in progress, connections. A chain, and not a
 * `Set`: the table that a set has outgrown points to the next one, and to what it held; once it has become old, it keeps all later ones,
 * and what is in them, until the next full collection.
 */

/** What can stand in a chain, in one at a time. */
export interface Chained<Self> {
  /** Its neighbours; for `Chain` alone. */
  before: Self | null;
  after: Self | null;
}

/** One chain. */
export class Chain<Item extends Chained<Item>> {
  #oldest: Item | null = null;
  #newest: Item | null = null;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** The one that has been there longest. */
  get oldest(): Item | null {
    return this.#oldest;
  }

  /** Puts it at the end. */
  add(item: Item): void {
    item.before = this.#newest;
    if (this.#newest === null) this.#oldest = item;
    else this.#newest.after = item;
    this.#newest = item;
    this.#size += 1;
  }

  /** Takes out what is in it. */
  remove(item: Item): void {
    const { before, after } = item;
    if (before === null) this.#oldest = after;
    else before.after = after;
    if (after === null) this.#newest = before;
    else after.before = before;
    // What has left leads nowhere: it may have become old itself.
    item.before = null;
    item.after = null;
    this.#size -= 1;
  }

  /** From the oldest on; the one at hand may be removed meanwhile. */
  *[Symbol.iterator](): Generator<Item, void, undefined> {
    for (let item = this.#oldest; item !== null;) {
      const { after } = item;
      yield item;
      item = after;
    }
  }
}
