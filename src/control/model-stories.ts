/** Why each model is where it is: whom it came for, and whom it left for. Read off the journal. */
import type { JournalEntry } from "../core/journal.ts";
import type { ModelId } from "../core/model.ts";
import type { RecordedSwitch, SwitchHistory } from "./switch-history.ts";

/** What led one model to where it is. */
export interface ModelStory {
  /** The switch that has brought it up, or is about to; null: it has not been up yet. */
  readonly came: RecordedSwitch | null;
  /** Why it went; null while it is up, or if it has not been up yet. */
  readonly left: Departure | null;
}

/** Why a model went. */
export type Departure =
  | { readonly kind: "room"; readonly for: RecordedSwitch }
  | { readonly kind: "operator" }
  /** Nobody was using it: it was idle for long, or had been brought up to be ready. */
  | { readonly kind: "unused" }
  /** Its engine was stopped while it was asleep; `during`: a switch that was under way at the time. */
  | { readonly kind: "given up"; readonly during: RecordedSwitch | null }
  | { readonly kind: "failed"; readonly message: string };

type StateChange = Extract<JournalEntry, { kind: "state changed" }>;

const NOTHING_YET: ModelStory = { came: null, left: null };

/** Give it every entry of the journal, in order, after the history has had it. */
export class ModelStories {
  readonly #stories = new Map<ModelId, ModelStory>();
  readonly #history: SwitchHistory;
  #ordered: ModelId | null = null;

  constructor(history: SwitchHistory) {
    this.#history = history;
  }

  /** The story of one model; of an unknown one: nothing yet. */
  of(model: ModelId): ModelStory {
    return this.#stories.get(model) ?? NOTHING_YET;
  }

  /** What happens to the model during `order` is an operator's doing. Returns what that returns. */
  duringOrder<Result>(model: ModelId, order: () => Result): Result {
    this.#ordered = model;
    try {
      return order();
    } finally {
      this.#ordered = null;
    }
  }

  record(entry: JournalEntry): void {
    if (entry.kind !== "state changed") return;
    const { model, to } = entry;
    const story = this.of(model);
    if (to.kind === "starting" || to.kind === "waking") {
      this.#stories.set(model, { came: this.#history.bringing(model), left: null });
    } else if (to.kind === "awake") {
      // Also when a drain is called off.
      this.#stories.set(model, { ...story, left: null });
    } else {
      const left = this.#departure(entry);
      if (left !== null) this.#stories.set(model, { ...story, left });
    }
  }

  /** Null where the move only goes on with what has begun. */
  #departure({ model, from, to }: StateChange): Departure | null {
    if (to.kind === "stopping" && to.because !== null) {
      return this.#ordered === model ? { kind: "operator" } : { kind: "failed", message: to.because.message };
    }
    if (to.kind !== "draining" && to.kind !== "stopping") return null;
    if (this.#ordered === model) return { kind: "operator" };
    const change = this.#history.removing(model);
    if (to.kind === "draining") return change === null ? { kind: "unused" } : { kind: "room", for: change };
    return from === "asleep" ? { kind: "given up", during: change ?? this.#history.newest } : null;
  }
}
