/** `llmux ps`: what a running llmux does at this moment. */
import { setTimeout as sleep } from "node:timers/promises";
import { controlSocketPath } from "../base/state-files.ts";
import { fetchStatus } from "../control/control-client.ts";
import type { StatusDocument } from "../control/status.ts";
import { EXIT, type ExitCode } from "./exit-codes.ts";
import { renderStatus } from "./ps-table.ts";
import { print, type Shell } from "./shell.ts";
import { which, type WhichOptions } from "./where.ts";

/** What was asked for. */
export interface PsOptions extends WhichOptions {
  readonly json?: boolean;
  readonly watch?: boolean;
}

const WATCH_MS = 1_000;

/** With `watch` it goes on until Ctrl-C: on a terminal in place, elsewhere one status after the other; as JSON one a line. */
export async function ps(options: PsOptions, shell: Shell): Promise<ExitCode> {
  const { stateDir } = await which(options, shell);
  const socketPath = controlSocketPath(stateDir);
  if (options.watch !== true) {
    await print(shell, written(await fetchStatus(socketPath), options, shell));
    return EXIT.fine;
  }
  const interrupted = shell.onInterrupt();
  while (!interrupted.aborted) {
    await print(shell, inPlace(written(await fetchStatus(socketPath), options, shell), options, shell));
    await sleep(WATCH_MS, undefined, { signal: interrupted }).catch(() => {});
  }
  return EXIT.interrupted;
}

function written(status: StatusDocument, options: PsOptions, { stdout }: Shell): string {
  if (options.json === true) return `${JSON.stringify(status, null, options.watch === true ? 0 : 2)}\n`;
  return renderStatus(status, stdout.columns ?? null);
}

/** Cursor home, each line cleared to its end, and what is left of the last picture below. */
function inPlace(text: string, options: PsOptions, { stdout }: Shell): string {
  if (options.json === true) return text;
  if (stdout.isTTY !== true) return `${text}\n`;
  return `\u001b[H${text.replaceAll("\n", "\u001b[K\n")}\u001b[J`;
}
