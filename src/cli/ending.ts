/** What ends a command that has engines: signals, and bugs of ours. Engines live in sessions of their own and outlive both. */
import { describeError } from "../base/failure.ts";
import type { ClosableLog } from "../control/log.ts";
import { EXIT } from "./exit-codes.ts";

/** Ctrl-C, `kill`, and the terminal's closing, with their numbers. */
const ENDING_SIGNALS = { SIGINT: 2, SIGTERM: 15, SIGHUP: 1 } as const;

/** A signal that asks for an orderly end the first time, and for an end at once the second. */
export type EndingSignal = keyof typeof ENDING_SIGNALS;

/** From now on these signals do not end the process by themselves any more. */
export function toldToEnd(): { readonly first: Promise<EndingSignal>; readonly second: Promise<EndingSignal> } {
  const first = Promise.withResolvers<EndingSignal>();
  const second = Promise.withResolvers<EndingSignal>();
  let count = 0;
  for (const signal of Object.keys(ENDING_SIGNALS) as EndingSignal[]) {
    // It says that the terminal is gone. Without one it means nothing to us, and must not end us either: Node takes back
    // what `nohup` has set.
    if (signal === "SIGHUP" && !hasTerminal()) {
      process.on(signal, () => {});
      continue;
    }
    process.on(signal, () => {
      count += 1;
      if (count === 1) first.resolve(signal);
      else second.resolve(signal);
    });
  }
  return { first: first.promise, second: second.promise };
}

function hasTerminal(): boolean {
  return process.stdin.isTTY || process.stdout.isTTY || process.stderr.isTTY;
}

/** The exit code by which shells know that a signal has ended a program. */
export function exitCodeOf(signal: EndingSignal): number {
  return 128 + ENDING_SIGNALS[signal];
}

/** A bug ends the process, and the engines before it. */
export function dieCleanly(killEngines: () => void, log: ClosableLog): void {
  const die = (error: unknown): never => {
    log.error("bug", { message: describeError(error), stack: error instanceof Error ? error.stack : "" });
    killEngines();
    log.flush();
    process.exit(EXIT.failure);
  };
  process.on("uncaughtException", die);
  process.on("unhandledRejection", die);
}
