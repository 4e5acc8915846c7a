/** Time stamps of what happened, for benchmarks: the last 1,000 of each kind. */

/** What is stamped. */
export type EventName =
  | "listening"
  | "request received"
  | "first byte sent"
  | "last byte sent"
  | "sleep received"
  | "sleep done"
  | "wake received"
  | "wake done"
  | "reload received"
  | "reload done";

/** One event; `atMs` is the epoch in ms with microseconds behind the point. `path` is the request's, where there is one. */
export interface StampedEvent {
  readonly event: EventName;
  readonly atMs: number;
  readonly path: string | undefined;
}

const eventsMaxPerKind = 1_000;

/** Keeps the newest events of each kind. */
export class EventRing {
  readonly #kinds = new Map<EventName, StampedEvent[]>();

  /** Stamps an event with the time of now. */
  add(event: EventName, path?: string): void {
    const list = this.#kinds.get(event) ?? [];
    list.push({ event, atMs: performance.timeOrigin + performance.now(), path });
    // Twice the limit before cutting, so that a full ring does not move all its events for every new one.
    this.#kinds.set(event, list.length >= 2 * eventsMaxPerKind ? list.slice(-eventsMaxPerKind) : list);
  }

  /** All of them in the order of time. */
  list(): readonly StampedEvent[] {
    return [...this.#kinds.values()].flatMap((list) => list.slice(-eventsMaxPerKind)).sort((a, b) => a.atMs - b.atMs);
  }

  /** Forgets all but when it began to listen. */
  clear(): void {
    for (const kind of this.#kinds.keys()) if (kind !== "listening") this.#kinds.delete(kind);
  }
}
