/** A log that keeps its events, for tests to look at and to wait for. */
import type { Log, LogFields } from "../../src/ports/log.ts";

/** One event as it was logged. */
export interface LoggedEvent {
  readonly level: keyof Log;
  readonly event: string;
  readonly fields: LogFields;
}

/** Keeps everything. */
export class RecordingLog implements Log {
  readonly events: LoggedEvent[] = [];

  debug(event: string, fields: LogFields = {}): void {
    this.events.push({ level: "debug", event, fields });
  }

  info(event: string, fields: LogFields = {}): void {
    this.events.push({ level: "info", event, fields });
  }

  warn(event: string, fields: LogFields = {}): void {
    this.events.push({ level: "warn", event, fields });
  }

  error(event: string, fields: LogFields = {}): void {
    this.events.push({ level: "error", event, fields });
  }

  named(event: string): LoggedEvent[] {
    return this.events.filter((logged) => logged.event === event);
  }
}
