/** What a command has around it: where it writes, where it stands, what its environment says. */
import type { Writable } from "node:stream";
import type { ExitCode } from "./exit-codes.ts";

/** A stream for text; `columns` is the width of the terminal, where it is one. */
export type Output = Writable & { readonly isTTY?: boolean; readonly columns?: number };

/** The world of one command. */
export interface Shell {
  readonly stdout: Output;
  readonly stderr: Output;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The folder it was started in. */
  readonly cwd: string;
  /** A signal that is aborted at the first Ctrl-C from now on, which then ends the process no more by itself. */
  readonly onInterrupt: () => AbortSignal;
}

/** What ends a command with one sentence on stderr and an exit code, and no stack trace. */
export class CommandError extends Error {
  override readonly name = "CommandError";
  readonly exitCode: ExitCode;

  constructor(message: string, exitCode: ExitCode) {
    super(message);
    this.exitCode = exitCode;
  }
}

/** The world of this process. */
export function processShell(): Shell {
  return {
    stdout: process.stdout,
    stderr: process.stderr,
    env: process.env,
    cwd: process.cwd(),
    onInterrupt() {
      const controller = new AbortController();
      process.once("SIGINT", () => controller.abort());
      return controller.signal;
    },
  };
}

/** Whoever read our output has read enough, as in `llmux ps | head -1`: the command ends, and that is no failure. */
export class ReaderLeftError extends Error {
  override readonly name = "ReaderLeftError";
}

/** Writes text to stdout and waits until it is out. Rejects with `ReaderLeftError` when nobody reads it. */
export function print({ stdout }: Shell, text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    stdout.write(text, (error) => {
      if (error === null || error === undefined) resolve();
      else reject(isReaderGone(error) ? new ReaderLeftError("nobody reads the output", { cause: error }) : error);
    });
  });
}

function isReaderGone(error: NodeJS.ErrnoException): boolean {
  return error.code === "EPIPE" || error.code === "ERR_STREAM_DESTROYED";
}
