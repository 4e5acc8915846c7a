/** Keeps what switches have cost, so that a restart need not measure it again. */
import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { z } from "zod";
import { describeError } from "../base/failure.ts";
import type { SwitchCostEntry } from "../core/switch-cost.ts";
import type { Clock, TimerHandle } from "../ports/clock.ts";
import type { Log } from "../ports/log.ts";

const level = z.literal([1, 2, 3]);
const contents = z.object({
  version: z.literal(1),
  costs: z.array(z.object({ from: z.string(), to: z.string(), level, costMs: z.number().nonnegative() })),
});

/** At most so often is it written, in ms: what is lost in a crash is measured again. */
const WRITE_EVERY_MS = 5_000;

/** What the file makes of it. */
export interface SwitchCostFileOptions {
  readonly file: string;
  readonly clock: Clock;
  readonly log: Log;
}

/** A file that cannot be read or written costs the figures and nothing else. */
export class SwitchCostFile {
  readonly #options: SwitchCostFileOptions;
  #timer: TimerHandle | null = null;

  constructor(options: SwitchCostFileOptions) {
    this.#options = options;
  }

  /** What a former run has left; nothing if there is no such file, or one that makes no sense. */
  read(): readonly SwitchCostEntry[] {
    const { file, log } = this.#options;
    let text: string;
    try {
      text = readFileSync(file, "utf8");
    } catch (error) {
      if (!isMissing(error)) log.warn("switch costs not read", { file, reason: describeError(error) });
      return [];
    }
    try {
      return contents.parse(JSON.parse(text)).costs;
    } catch {
      log.warn("switch costs not read", {
        file,
        reason: "it is not what llmux has written there; they are measured anew",
      });
      return [];
    }
  }

  /** Writes `costs` soon. */
  changed(costs: () => readonly SwitchCostEntry[]): void {
    this.#timer ??= this.#options.clock.after(WRITE_EVERY_MS, () => this.write(costs()));
  }

  /** Writes now what was to be written soon, if anything was. */
  flush(costs: () => readonly SwitchCostEntry[]): void {
    if (this.#timer !== null) this.write(costs());
  }

  write(costs: readonly SwitchCostEntry[]): void {
    const { file, log } = this.#options;
    this.#timer?.cancel();
    this.#timer = null;
    try {
      mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
      // In one step, so that nobody ever reads half of it.
      writeFileSync(`${file}.new`, `${JSON.stringify({ version: 1, costs }, null, 1)}\n`, { mode: 0o600 });
      renameSync(`${file}.new`, file);
    } catch (error) {
      log.warn("switch costs not written", { file, reason: describeError(error) });
    }
  }
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "ENOENT";
}
