/** The switches of late, each with why it began, what was weighed and how it went: read off the journal. */
import type { JournalEntry } from "../core/journal.ts";
import type { ModelId } from "../core/model.ts";
import type { Verdict } from "../core/policy.ts";

/** One switch. It goes on changing until it has ended. Times are on the journal's clock, in ms. */
export interface RecordedSwitch {
  readonly atMs: number;
  readonly because: string;
  readonly compared: readonly Verdict[];
  readonly from: readonly ModelId[];
  /** The model that comes. */
  readonly to: ModelId;
  /** The model for which it began, where the drain has shown that another one is worth more; null: it is still that. */
  readonly before: ModelId | null;
  readonly drainMs: number | null;
  /** Whose requests stand still because their drain had taken long enough. */
  readonly suspended: readonly { readonly model: ModelId; readonly requests: number }[];
  /** Who had to go besides, since the wake found too little memory; null: that has not happened. */
  readonly retried: { readonly evicting: ModelId; readonly message: string } | null;
  readonly end: SwitchEnd | null;
}

/** How a switch ended, and when. */
export type SwitchEnd =
  | { readonly kind: "done"; readonly atMs: number }
  | { readonly kind: "failed" | "cancelled"; readonly atMs: number; readonly message: string };

type Draft = { -readonly [Key in keyof RecordedSwitch]: RecordedSwitch[Key] };

/** So many are kept; older ones are forgotten. */
export const SWITCHES_KEPT = 200;

/** Give it every entry of the journal, in order. */
export class SwitchHistory {
  readonly #all: Draft[] = [];
  /** Those under way, by the model that comes: a model is the target of one switch at a time. */
  readonly #active = new Map<ModelId, Draft>();

  /** All that are kept, the oldest first. */
  get all(): readonly RecordedSwitch[] {
    return this.#all;
  }

  /** The switch under way that brings this model, or null. */
  bringing(model: ModelId): RecordedSwitch | null {
    return this.#active.get(model) ?? null;
  }

  /** The switch under way that makes this model leave, or null. */
  removing(model: ModelId): RecordedSwitch | null {
    return this.#removing(model) ?? null;
  }

  /** A switch under way, the last one that began; null: there is none. */
  get newest(): RecordedSwitch | null {
    return [...this.#active.values()].at(-1) ?? null;
  }

  record(entry: JournalEntry): void {
    switch (entry.kind) {
      case "switch started":
        return this.#begin(entry);
      case "switch redirected": {
        const change = this.#active.get(entry.before);
        if (change === undefined) return;
        this.#active.delete(entry.before);
        this.#active.set(entry.to, change);
        Object.assign(change, { before: entry.before, to: entry.to, from: entry.from });
        return;
      }
      case "requests suspended": {
        const change = this.#removing(entry.model);
        if (change === undefined) return;
        change.suspended = [...change.suspended, { model: entry.model, requests: entry.requests }];
        return;
      }
      case "wake retried": {
        const change = this.#active.get(entry.model);
        if (change !== undefined) change.retried = { evicting: entry.evicting, message: entry.failure.message };
        return;
      }
      case "drain ended": {
        const change = this.#active.get(entry.to);
        // After a retry it is told once more, for the one that has to go besides.
        if (change !== undefined) change.drainMs ??= entry.drainMs;
        return;
      }
      case "switch ended":
        return this.#end(entry, { kind: "done", atMs: entry.atMs });
      case "switch failed":
        return this.#end(entry, { kind: "failed", atMs: entry.atMs, message: entry.failure.message });
      case "switch cancelled":
        return this.#end(entry, { kind: "cancelled", atMs: entry.atMs, message: entry.because });
      case "request queued":
      case "request granted":
      case "request refused":
      case "request abandoned":
      case "lease released":
      case "lease revoked":
      case "state changed":
      case "memory differs":
      case "engine crashed":
      case "sleep failed":
      case "stop failed":
      case "shutdown started":
      case "shutdown ended":
        return;
    }
    return entry satisfies never;
  }

  #begin({ atMs, because, compared, from, to }: Extract<JournalEntry, { kind: "switch started" }>): void {
    const nothing = { before: null, drainMs: null, suspended: [], retried: null, end: null };
    const change: Draft = { atMs, because, compared, from, to, ...nothing };
    this.#active.set(to, change);
    this.#all.push(change);
    if (this.#all.length > SWITCHES_KEPT) this.#all.shift();
  }

  #end({ from, to }: { readonly from: readonly ModelId[]; readonly to: ModelId }, end: SwitchEnd): void {
    const change = this.#active.get(to);
    if (change === undefined) return;
    this.#active.delete(to);
    // One that had to go besides may have joined them.
    change.from = [...from];
    change.end = end;
  }

  #removing(model: ModelId): Draft | undefined {
    for (const change of this.#active.values()) if (change.from.includes(model)) return change;
    return undefined;
  }
}
