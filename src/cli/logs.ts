/** `llmux logs`: the output of a model's engine since its last start, whether or not a llmux runs. */
import { existsSync } from "node:fs";
import { suggest } from "../base/suggest.ts";
import { engineLogFile } from "../base/state-files.ts";
import { describeError } from "../base/failure.ts";
import type { Config } from "../config/config.ts";
import { EXIT, type ExitCode } from "./exit-codes.ts";
import { readLog } from "./log-file.ts";
import { CommandError, print, type Shell } from "./shell.ts";
import { which, type WhichOptions } from "./where.ts";

/** What was asked for. */
export interface LogsOptions extends WhichOptions {
  readonly follow?: boolean;
  /** How many of the last lines; ≥ 0. */
  readonly lines: number;
}

/** The file is read here, not asked for: it can be looked at after llmux has ended, too. */
export async function logs(name: string, options: LogsOptions, shell: Shell): Promise<ExitCode> {
  const { stateDir, config } = await which(options, shell);
  const model = config === null ? name : modelNamed(name, config);
  const path = engineLogFile(stateDir, model);
  const follow = options.follow === true;
  if (!existsSync(path)) {
    const missing = `${model} has no output yet: there is no ${path}`;
    if (!follow) throw new CommandError(`${missing}; its engine has not been started here`, EXIT.failure);
    shell.stderr.write(`llmux: ${missing}; waiting for it\n`);
  }
  const signal = follow ? shell.onInterrupt() : null;
  const write = (text: string): Promise<void> => (text === "" ? Promise.resolve() : print(shell, text));
  try {
    await readLog({ path, lines: options.lines, follow, signal, write });
  } catch (error) {
    throw new CommandError(`the output of ${model} cannot be read: ${describeError(error)}`, EXIT.failure);
  }
  return follow ? EXIT.interrupted : EXIT.fine;
}

function modelNamed(name: string, { models }: Config): string {
  const found = models.find((model) => model.name === name || model.aliases.includes(name));
  if (found !== undefined) return found.name;
  const names = models.flatMap((model) => [model.name, ...model.aliases]);
  const meant = suggest(name, names);
  const hint =
    meant === undefined ? `there are ${models.map((model) => model.name).join(", ")}` : `did you mean ${meant}?`;
  throw new CommandError(`no model ${name}: ${hint}`, EXIT.failure);
}
