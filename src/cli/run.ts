/** From arguments to an exit code: runs one command and says in a sentence what kept it from doing its work. */
import { CommanderError } from "commander";
import { describeError } from "../base/failure.ts";
import { ConfigError } from "../config/problem.ts";
import { ControlError, NotRunningError } from "../control/control-client.ts";
import { EXIT, type ExitCode } from "./exit-codes.ts";
import { buildProgram } from "./program.ts";
import { CommandError, ReaderLeftError, type Shell } from "./shell.ts";

/** Runs the command that `argv` (without program and script) names. Never rejects. */
export async function run(argv: readonly string[], shell: Shell): Promise<number> {
  let exitCode: number = EXIT.fine;
  try {
    await buildProgram(shell, (code) => {
      exitCode = code;
    }).parseAsync([...argv], { from: "user" });
    return exitCode;
  } catch (error) {
    return explain(error, shell);
  }
}

/** Says what went wrong and returns the exit code for it. */
function explain(error: unknown, { stderr }: Shell): ExitCode {
  const say = (message: string, exitCode: ExitCode): ExitCode => {
    stderr.write(`llmux: ${message}\n`);
    return exitCode;
  };
  // The parser has said everything itself. What is no error is help and version.
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.fine : EXIT.usage;
  if (error instanceof ReaderLeftError) return EXIT.fine;
  if (error instanceof ConfigError) {
    stderr.write(`${error.message}\n`);
    return EXIT.usage;
  }
  if (error instanceof CommandError) return say(error.message, error.exitCode);
  if (error instanceof NotRunningError) return say(error.message, EXIT.notRunning);
  if (error instanceof ControlError || isSystemError(error)) return say(describeError(error), EXIT.failure);
  // A bug of ours: where it happened is of use.
  return say(
    `internal error: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`,
    EXIT.failure,
  );
}

/** Errors of the operating system have codes such as ENOSPC; those of Node itself begin with ERR_ and are mistakes of ours. */
function isSystemError(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && "code" in error && typeof error.code === "string" && !error.code.startsWith("ERR_");
}
