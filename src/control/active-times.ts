/** How long each model was awake at a stretch, worked out from the changes of its engine's state. */
import type { JournalEntry } from "../core/journal.ts";
import type { ModelId } from "../core/model.ts";

/** A move of an engine from one state to another. */
export type StateChange = Extract<JournalEntry, { kind: "state changed" }>;

interface Stay {
  readonly sinceMs: number;
  /** When the drain began that is under way; null while there is none. */
  drainSinceMs: number | null;
}

/** A stay goes on through a drain that is called off; the drain that ends it does not count. */
export class ActiveTimes {
  readonly #stays = new Map<ModelId, Stay>();

  /** Returns the length of the stay in ms if this move ends one, else null. */
  onStateChanged({ model, to, atMs }: StateChange): number | null {
    const stay = this.#stays.get(model);
    if (to.kind === "awake") {
      if (stay === undefined) this.#stays.set(model, { sinceMs: atMs, drainSinceMs: null });
      else stay.drainSinceMs = null;
      return null;
    }
    if (stay === undefined) return null;
    if (to.kind === "draining") {
      stay.drainSinceMs ??= atMs;
      return null;
    }
    this.#stays.delete(model);
    return (stay.drainSinceMs ?? atMs) - stay.sinceMs;
  }
}
