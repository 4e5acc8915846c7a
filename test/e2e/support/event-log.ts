/** What a running llmux logs, event by event, to look at and to wait for. */
import type { Readable } from "node:stream";
import { createInterface } from "node:readline";
import { isDeepStrictEqual } from "node:util";

/** One event. */
export interface LoggedEvent {
  readonly event: string;
  readonly level: string;
  readonly time: string;
  readonly [field: string]: unknown;
}

/** Fields that an event must have, with these values. */
export type Fields = Readonly<Record<string, unknown>>;

interface Watcher {
  readonly look: () => boolean;
  readonly fail: (why: string) => void;
}

const LIMIT_MS = 25_000;

/** Reads JSON lines until the stream ends. */
export class EventLog {
  readonly events: LoggedEvent[] = [];
  /** Lines that are not events: complaints before there is a log. */
  readonly otherLines: string[] = [];
  /** Resolves when there will be no more. */
  readonly ended: Promise<void>;
  readonly #watchers = new Set<Watcher>();
  #hasEnded = false;

  constructor(stream: Readable) {
    const lines = createInterface({ input: stream });
    lines.on("line", (line) => this.#take(line));
    this.ended = new Promise((resolve) => {
      lines.once("close", () => {
        this.#hasEnded = true;
        for (const watcher of this.#watchers) watcher.fail("llmux has ended");
        resolve();
      });
    });
  }

  /** Where the next event will be: what comes after this moment is searched with `since`. */
  get now(): number {
    return this.events.length;
  }

  /** The events of this name with these fields. */
  all(event: string, fields: Fields = {}, since = 0): readonly LoggedEvent[] {
    return this.events.slice(since).filter((logged) => fits(logged, event, fields));
  }

  /** Resolves with the first event of this name with these fields; rejects when llmux ends first, or after 25 s. */
  until(event: string, fields: Fields = {}, since = 0): Promise<LoggedEvent> {
    return new Promise((resolve, reject) => {
      let searched = since;
      const end = (): void => {
        clearTimeout(timer);
        this.#watchers.delete(watcher);
      };
      const fail = (why: string): void => {
        end();
        reject(new Error(`waited in vain for the event "${event}" ${JSON.stringify(fields)}: ${why}`));
      };
      const look = (): boolean => {
        for (; searched < this.events.length; searched += 1) {
          const logged = this.events[searched];
          if (logged === undefined || !fits(logged, event, fields)) continue;
          end();
          resolve(logged);
          return true;
        }
        return false;
      };
      const watcher: Watcher = { look, fail };
      const timer = setTimeout(() => fail(`${LIMIT_MS / 1000} s have passed`), LIMIT_MS);
      if (look()) return;
      if (this.#hasEnded) fail("llmux has ended");
      else this.#watchers.add(watcher);
    });
  }

  /** The last events as text, those that only repeat an engine's output left out. */
  tail(count: number): string {
    const told = this.events.filter(({ event }) => !/^engine (output|progress)$/.test(event)).slice(-count);
    return [...told.map((logged) => JSON.stringify(logged)), ...this.otherLines].join("\n");
  }

  #take(line: string): void {
    try {
      this.events.push(JSON.parse(line) as LoggedEvent);
    } catch {
      this.otherLines.push(line);
      return;
    }
    for (const { look } of this.#watchers) look();
  }
}

function fits(logged: LoggedEvent, event: string, fields: Fields): boolean {
  if (logged.event !== event) return false;
  return Object.entries(fields).every(([name, value]) => isDeepStrictEqual(logged[name], value));
}
