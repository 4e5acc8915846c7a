/** Log lines in vLLM's format, written at once so that they are in the file before anything that follows from them. */
import { writeSync } from "node:fs";
import type { EngineVersion } from "./engine-version.ts";

/** Writes lines as one of vLLM's processes. Nothing here ever throws: a full disk or a closed pipe must not end an engine. */
export interface Log {
  info(place: string, message: string): void;
  warning(place: string, message: string): void;
  error(place: string, message: string): void;
  /** A line without level and time, as Python's tracebacks, progress bars and uvicorn print; `text` may hold several lines. */
  plain(text: string): void;
}

/**
 * A log for the process called `name` (APIServer, EngineCore), with ANSI colours unless NO_COLOR is set. Plain lines carry the
 * process only in the older manner.
 */
export function openLog(name: string, env: NodeJS.ProcessEnv, manner: EngineVersion["manner"]): Log {
  const coloured = env["NO_COLOR"] === undefined || env["NO_COLOR"] === "";
  const label = `(${name} pid=${process.pid})`;
  const prefix = coloured ? `\u001b[0;36m${label}\u001b[0;0m ` : `${label} `;
  const levelled = (level: string) => (place: string, message: string) => {
    put(1, `${prefix}${level} ${timestamp(new Date())} [${place}] `, message);
  };
  return {
    info: levelled("INFO"),
    warning: levelled("WARNING"),
    error: levelled("ERROR"),
    plain: (text) => put(2, manner === "0.32" ? "" : prefix, text),
  };
}

function put(fd: 1 | 2, start: string, text: string): void {
  write(
    fd,
    text
      .split("\n")
      .map((line) => `${start}${line}\n`)
      .join(""),
  );
}

function timestamp(now: Date): string {
  return `${two(now.getMonth() + 1)}-${two(now.getDate())} ${two(now.getHours())}:${two(now.getMinutes())}:${two(now.getSeconds())}`;
}

function two(value: number): string {
  return String(value).padStart(2, "0");
}

function write(fd: 1 | 2, text: string): void {
  let rest = Buffer.from(text);
  // A pipe that someone made non-blocking answers EAGAIN while it is full; a few tries, then the line is lost.
  for (let tries = 0; rest.length > 0 && tries < 100; tries += 1) {
    try {
      rest = rest.subarray(writeSync(fd, rest));
    } catch (error) {
      if (!(error instanceof Error && "code" in error && error.code === "EAGAIN")) return;
    }
  }
}
