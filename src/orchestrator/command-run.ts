/** Runs a command to its end: what a configuration gives for a stop, a sleep, a wake, or a look at an engine's health. */
import { describeError } from "../base/failure.ts";
import { delay, type Clock } from "../ports/clock.ts";
import type { EngineProcess, ProcessHost } from "../ports/process-host.ts";

/** What to run. */
export interface CommandRun {
  readonly command: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** Both outputs are appended to this file; null discards them. */
  readonly outputFile: string | null;
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
}

/**
 * Resolves with null when it has ended with 0, else with what went wrong. One that takes too long, or is not wanted any more, is killed;
 * rejects with the signal's reason only.
 */
export async function runCommand(run: CommandRun, processes: ProcessHost, clock: Clock): Promise<string | null> {
  const { command, env, outputFile, timeoutMs, signal } = run;
  let started: EngineProcess;
  try {
    started = await processes.spawn({ command, env, outputFile });
  } catch (error) {
    return `cannot be run: ${describeError(error)}`;
  }
  const { pid, exited } = started;
  const over = new AbortController();
  const kill = (): void => processes.signal(pid, [pid, ...processes.members(pid)], "SIGKILL");
  const late = delay(clock, timeoutMs, over.signal).then(
    () => "late" as const,
    () => "late" as const,
  );
  const unwanted = Promise.withResolvers<"unwanted">();
  const onAbort = (): void => unwanted.resolve("unwanted");
  if (signal?.aborted === true) onAbort();
  signal?.addEventListener("abort", onAbort, { once: true });
  try {
    const end = await Promise.race([exited, late, unwanted.promise]);
    if (end === "late" || end === "unwanted") {
      kill();
      signal?.throwIfAborted();
      return `did not end within ${timeoutMs / 1000} s`;
    }
    if (end.exitCode === 0) return null;
    return end.signal === null ? `ended with code ${end.exitCode}` : `was ended by ${end.signal}`;
  } finally {
    over.abort();
    signal?.removeEventListener("abort", onAbort);
  }
}

/** What became of a command, as people read it; `wrong` is what `runCommand` has resolved with. */
export function outcomeText(command: readonly string[], wrong: string | null): string {
  return `${commandText(command)} ${wrong ?? "ended with 0"}`;
}

/** A command as people read it. */
export function commandText(command: readonly string[]): string {
  const text = command.map((word) => (/^[\w./:=@%+,-]+$/.test(word) ? word : JSON.stringify(word))).join(" ");
  return text.length > TEXT_LENGTH_MAX ? `${text.slice(0, TEXT_LENGTH_MAX)}…` : text;
}

const TEXT_LENGTH_MAX = 200;
