/**
 * Heartbeats: what clients of event streams hear while nothing else can come, so that neither they nor a proxy on the way take the
 * silence for the end. All that wait share one timer.
 */
import type { ModelId } from "../core/model.ts";
import { Alarm } from "../ports/alarm.ts";
import type { Clock } from "../ports/clock.ts";
import type { StartProgress } from "../ports/engine-directory.ts";
import type { EngineStates } from "./engine-states.ts";
import type { Waiting } from "./lease-desk.ts";

/** Who waits. */
export interface Listener {
  readonly model: ModelId;
  /** Null for one who waits for something else than his turn. */
  readonly place: Waiting | null;
  /** A comment of an event stream, with the blank line behind it. */
  onBeat(comment: string): void;
}

/** What the comments are made of. */
export interface HeartOptions {
  readonly clock: Clock;
  /** Of silence, before the first one and between two, in ms; null: there are none. */
  readonly intervalMs: number | null;
  readonly snapshot: () => EngineStates;
  /** Looks at the queues; `done` is called once, perhaps before this returns. */
  readonly look: (done: (view: QueueView) => void) => void;
}

/** How far those have come who wait. */
export interface QueueView {
  readonly progressOf: (model: ModelId) => StartProgress | null;
  /** Everybody's place in the queue of his model, from 1. */
  readonly positions: ReadonlyMap<Waiting, number>;
}

/** Beats that are due this soon after another one are given with it, in ms: looking round costs something if many wait. */
const TOGETHER_MS = 250;

/** One for all requests of a gateway. */
export class Heart {
  readonly #options: HeartOptions;
  /** With the time of the next beat. */
  readonly #listeners = new Map<Listener, number>();
  readonly #alarm: Alarm;

  constructor(options: HeartOptions) {
    this.#options = options;
    this.#alarm = new Alarm(options.clock, () => this.#beat());
  }

  /** `silentSinceMs`: when the client last heard something, or had said all that it has to say. The first beat may be due at once. */
  add(listener: Listener, silentSinceMs: number): void {
    const { intervalMs } = this.#options;
    if (intervalMs === null) return;
    const dueMs = silentSinceMs + intervalMs;
    this.#listeners.set(listener, dueMs);
    this.#alarm.setEarlier(dueMs);
  }

  /** Does nothing for one who does not listen. */
  remove(listener: Listener): void {
    this.#listeners.delete(listener);
    if (this.#listeners.size === 0) this.#alarm.set(null);
  }

  #beat(): void {
    const { clock, intervalMs, look } = this.#options;
    const nowMs = clock.nowMs();
    const due = Array.from(this.#listeners).flatMap(([listener, dueMs]) =>
      dueMs <= nowMs + TOGETHER_MS ? [listener] : [],
    );
    for (const listener of due) this.#listeners.set(listener, nowMs + (intervalMs ?? 0));
    if (due.length > 0) look((view) => this.#tell(due, view));
    let nextMs = Infinity;
    for (const dueMs of this.#listeners.values()) nextMs = Math.min(nextMs, dueMs);
    if (nextMs < Infinity) this.#alarm.setEarlier(nextMs);
  }

  #tell(due: readonly Listener[], view: QueueView): void {
    const states = new Map(this.#options.snapshot().models.map(({ id, state }) => [id, state.kind]));
    for (const listener of due) {
      // It may have left meanwhile, or another one's beat may have been the end of this one.
      if (this.#listeners.has(listener)) listener.onBeat(comment(listener, view, states));
    }
  }
}

function comment(
  { model, place }: Listener,
  { progressOf, positions }: QueueView,
  states: ReadonlyMap<ModelId, string>,
): string {
  const progress = progressOf(model);
  const facts = [`model=${model}`, `state=${JSON.stringify(states.get(model) ?? "stopped")}`];
  if (progress !== null) facts.push(`stage=${JSON.stringify(progress.stage)}`);
  if (progress !== null && progress.percent !== null) facts.push(`percent=${Math.floor(progress.percent)}`);
  const position = place === null ? undefined : positions.get(place);
  if (position !== undefined) facts.push(`position=${position}`);
  return `: llmux ${facts.join(" ").replaceAll(/[\r\n]/g, " ")}\n\n`;
}
