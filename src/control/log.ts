/** The log: JSON lines for machines, one readable line an event on a terminal. No secret leaves through it. */
import { pino } from "pino";
import { describeError } from "../base/failure.ts";
import { isSecretName, REDACTED, redactCommand, redactEnvironment, redactText } from "../base/redact.ts";
import type { Log, LogFields } from "../ports/log.ts";
import { LineWriter } from "./line-writer.ts";
import { readableLine } from "./log-line.ts";

/** How deep fields are looked through for secrets; what lies deeper is left out. */
const DEPTH_MAX = 5;

/** How events are written. */
export interface LogOptions {
  /** The least severe event that is written. */
  readonly level: "debug" | "info" | "warn" | "error";
  readonly form: "json" | "readable" | "readable in colour";
  /** Takes whole lines; default stderr, without ever holding up the caller. */
  readonly write?: (lines: string) => void;
}

/** The log, and a way to write out at once what it still holds. */
export interface ClosableLog extends Log {
  flush(): void;
}

/** Makes a log. What cannot be written (a full disk, a closed pipe, a reader that stalls) costs events and nothing else. */
export function createLog(options: LogOptions): ClosableLog {
  const writer = options.write === undefined ? stderrWriter() : null;
  const writeLines = options.write ?? ((lines: string) => writer?.write(lines));
  const colour = options.form === "readable in colour";
  const logger = pino(
    {
      level: options.level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    {
      write(line: string) {
        writeLines(options.form === "json" ? line : readableLine(JSON.parse(line) as LogFields, colour));
      },
    },
  );
  const write = (level: LogOptions["level"], event: string, fields: LogFields): void => {
    if (!logger.isLevelEnabled(level)) return;
    const lost = writer?.takeDropped() ?? 0;
    if (lost > 0) logger.warn({ event: "log events lost", count: lost });
    logger[level]({ event, ...(shown(fields, 0) as LogFields) });
  };
  return {
    debugs: logger.isLevelEnabled("debug"),
    debug: (event, fields = {}) => write("debug", event, fields),
    info: (event, fields = {}) => write("info", event, fields),
    warn: (event, fields = {}) => write("warn", event, fields),
    error: (event, fields = {}) => write("error", event, fields),
    flush: () => writer?.flush(),
  };
}

/** The form that suits a stream: readable on a terminal, in colour unless `NO_COLOR` or a dumb terminal forbids it. */
export function logFormFor(
  stream: { readonly isTTY?: boolean },
  env: Readonly<Record<string, string | undefined>>,
): LogOptions["form"] {
  if (stream.isTTY !== true) return "json";
  const plain = (env["NO_COLOR"] ?? "") !== "" || env["TERM"] === "dumb";
  return plain ? "readable" : "readable in colour";
}

/** What is left when the process ends is written out then. */
function stderrWriter(): LineWriter {
  const writer = new LineWriter(process.stderr.fd);
  process.once("exit", () => writer.flush());
  return writer;
}

/** The value with every secret in it replaced, and errors turned into their messages. */
function shown(value: unknown, depth: number): unknown {
  if (typeof value === "string") return redactText(value);
  if (typeof value === "bigint") return String(value);
  if (typeof value !== "object" || value === null) return value;
  if (value instanceof Error) return redactText(describeError(value));
  if (depth >= DEPTH_MAX) return "[…]";
  if (Array.isArray(value)) return value.map((item) => shown(item, depth + 1));
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, shownAs(name, item, depth + 1)]));
}

function shownAs(name: string, value: unknown, depth: number): unknown {
  if (name === "command" && Array.isArray(value)) return redactCommand(value.map(String));
  if (name === "env" && typeof value === "object" && value !== null) {
    return redactEnvironment(value as Readonly<Record<string, string>>);
  }
  return typeof value === "string" && isSecretName(name) ? REDACTED : shown(value, depth);
}
