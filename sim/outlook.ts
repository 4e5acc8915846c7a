/** What the journal has told so far: the states of the engines and the switches under way. */
import { assert } from "../src/base/assert.ts";
import type { EngineStateKind } from "../src/core/engine-state.ts";
import type { JournalEntry } from "../src/core/journal.ts";
import type { ModelId } from "../src/core/model.ts";
import type { SleepLevel } from "../src/core/sleep-level.ts";
import { demand } from "./violation.ts";

/** What the journal says of a switch for which nobody waits. */
export const PRELOAD_REASON = "it is to be there before its first request";

/** A switch that has started and not ended, failed or been cancelled. */
export interface ToldSwitch {
  readonly from: readonly ModelId[];
  readonly to: ModelId;
  readonly startedAtMs: number;
  /** It exists so that a model is there before its first request. */
  readonly isPreload: boolean;
  /** Who had to go in addition, after the wake had found too little memory. */
  readonly extra: ModelId | null;
  drained: boolean;
}

/** Built from the journal alone, as a reader of the logs would. */
export class Outlook {
  readonly states = new Map<ModelId, EngineStateKind>();
  readonly sinceMs = new Map<ModelId, number>();
  /** By target. */
  readonly switches = new Map<ModelId, ToldSwitch>();
  /** The last drain of each model: how deep it was to sleep then, and when its gate closed. */
  readonly drains = new Map<ModelId, { readonly to: SleepLevel; readonly sinceMs: number }>();
  /** Wakes that were tried again with more room, so far. */
  retried = 0;
  finished = false;
  switchesEnded = 0;

  constructor(models: readonly ModelId[]) {
    for (const id of models) this.states.set(id, "stopped");
  }

  read(entry: JournalEntry): void {
    switch (entry.kind) {
      case "state changed":
        assert(this.states.get(entry.model) === entry.from, `the journal skips a state of ${entry.model}`);
        this.states.set(entry.model, entry.to.kind);
        this.sinceMs.set(entry.model, entry.atMs);
        if (entry.to.kind === "draining") this.drains.set(entry.model, { to: entry.to.to, sinceMs: entry.atMs });
        return;
      case "switch started":
        demand(!this.switches.has(entry.to), "switches are told to their end", () => `two switches to ${entry.to}`);
        this.switches.set(entry.to, {
          from: entry.from,
          to: entry.to,
          startedAtMs: entry.atMs,
          isPreload: entry.because === PRELOAD_REASON,
          extra: null,
          drained: false,
        });
        return;
      case "switch redirected": {
        const change = this.#told(entry.before);
        this.switches.delete(entry.before);
        this.switches.set(entry.to, { ...change, from: entry.from, to: entry.to });
        return;
      }
      case "wake retried": {
        // One more leaves, and the switch is where it was before its drain.
        const change = this.#told(entry.model);
        this.retried += 1;
        this.switches.set(entry.model, { ...change, extra: entry.evicting, drained: false });
        return;
      }
      case "drain ended":
        this.#told(entry.to).drained = true;
        return;
      case "switch ended":
        this.switchesEnded += 1;
        this.#told(entry.to);
        this.switches.delete(entry.to);
        return;
      case "switch failed":
      case "switch cancelled":
        this.#told(entry.to);
        this.switches.delete(entry.to);
        return;
      case "shutdown ended":
        demand(this.switches.size === 0, "switches are told to their end", () => "a switch is open at the end");
        this.finished = true;
        return;
      case "request queued":
      case "request granted":
      case "request refused":
      case "request abandoned":
      case "lease released":
      case "lease revoked":
      case "engine crashed":
      case "sleep failed":
      case "stop failed":
      case "shutdown started":
      case "requests suspended":
      case "memory differs":
        return;
    }
  }

  #told(to: ModelId): ToldSwitch {
    const change = this.switches.get(to);
    demand(change !== undefined, "switches are told to their end", () => `a switch to ${to} that never started`);
    return change;
  }
}
