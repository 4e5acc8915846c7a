/** Which configuration and which state folder a command is about. */
import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import type { Config } from "../config/config.ts";
import { EXIT } from "./exit-codes.ts";
import { CommandError, type Shell } from "./shell.ts";

/** How the user has said which llmux is meant; at most one of the two. */
export interface WhichOptions {
  readonly config?: string;
  readonly stateDir?: string;
}

/** Where a llmux keeps its state, and its configuration where that is known. */
export interface Which {
  /** Absolute. */
  readonly stateDir: string;
  readonly config: Config | null;
}

/** The state folder of a configuration that names none. */
export const DEFAULT_STATE_DIR = "~/.local/state/llmux";

/** The places where a configuration is looked for when none is named, in this order. */
export const DEFAULT_CONFIG_FILES = ["./llmux.yaml", "~/.config/llmux/llmux.yaml"] as const;

/** The configuration file that is meant: the one that was named, or the first default one that is there. Throws `CommandError`. */
export function configFile(named: string | undefined, shell: Shell): string {
  const file = named ?? defaultConfigFile(shell);
  if (file !== null) return file;
  const [here, home] = DEFAULT_CONFIG_FILES;
  throw new CommandError(`no configuration: name a file, or write ${here} or ${home}`, EXIT.usage);
}

/** The llmux that is meant: by folder, by configuration, by the default configuration, or else the default folder. */
export async function which(options: WhichOptions, shell: Shell): Promise<Which> {
  if (options.stateDir !== undefined) return { stateDir: resolve(shell.cwd, options.stateDir), config: null };
  const file = options.config ?? defaultConfigFile(shell);
  if (file === null) return { stateDir: atHome(DEFAULT_STATE_DIR, shell), config: null };
  const { loadConfig } = await import("../config/load.ts");
  const config = loadConfig(file, shell.env);
  return { stateDir: config.stateDir, config };
}

function defaultConfigFile(shell: Shell): string | null {
  const [here, home] = DEFAULT_CONFIG_FILES;
  const inFolder = resolve(shell.cwd, here);
  // Named as a person there would, so that problems read well.
  if (existsSync(inFolder)) return resolve(here) === inFolder ? "llmux.yaml" : inFolder;
  const inHome = atHome(home, shell);
  return existsSync(inHome) ? inHome : null;
}

function atHome(path: string, { env }: Shell): string {
  const home = env["HOME"] ?? "";
  return join(home === "" ? homedir() : home, path.slice(2));
}
