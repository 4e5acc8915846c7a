/** Structured logging as a port: one event a line, its name first, its facts as fields. */

/** The facts of an event; durations carry their unit in the name. */
export type LogFields = Readonly<Record<string, unknown>>;

/** Where events go. */
export interface Log {
  /** False: debug events are not written, so that none need be made. */
  readonly debugs?: boolean;
  debug(event: string, fields?: LogFields): void;
  info(event: string, fields?: LogFields): void;
  warn(event: string, fields?: LogFields): void;
  error(event: string, fields?: LogFields): void;
}
