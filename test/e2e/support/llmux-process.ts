/** One run of the real program, as a child process. */
import assert from "node:assert/strict";
import { spawn, type ChildProcess } from "node:child_process";
import { fileURLToPath } from "node:url";
import { EventLog } from "./event-log.ts";

/** Where the program is. */
export const LLMUX = fileURLToPath(new URL("../../../bin/llmux.js", import.meta.url));

/** How it ended: one of the two is set. */
export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** From spawn to exit. */
export class LlmuxProcess {
  readonly log: EventLog;
  readonly exited: Promise<Exit>;
  exit: Exit | null = null;
  readonly #child: ChildProcess;

  /** `launcher` comes before the program: something that prepares its surroundings and then becomes it. */
  constructor(config: string, env: Readonly<Record<string, string>>, launcher: readonly string[] = []) {
    const [program, ...args] = [...launcher, process.execPath, LLMUX, "serve", "-c", config, "-v"];
    this.#child = spawn(program, args, { env, stdio: ["ignore", "ignore", "pipe"] });
    const { stderr } = this.#child;
    assert.ok(stderr !== null);
    this.log = new EventLog(stderr);
    this.exited = new Promise((resolve) => {
      this.#child.once("exit", (code, signal) => {
        this.exit = { code, signal };
        resolve(this.exit);
      });
    });
  }

  get pid(): number {
    const { pid } = this.#child;
    assert.ok(pid !== undefined, "llmux was not started");
    return pid;
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Sends a signal and waits for the end. */
  async end(signal: NodeJS.Signals): Promise<Exit> {
    this.signal(signal);
    const exit = await this.exited;
    await this.log.ended;
    return exit;
  }
}
