/** A place for one benchmark: a folder of its own, a pretend GPU with room for one model, and the processes started there. */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdtempSync, openSync, closeSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { allStats, hasMarker } from "../src/platform/proc.ts";

const STAND_IN = fileURLToPath(new URL("../bin/mock-vllm.js", import.meta.url));

/** How long the stand-in engines take, in ms. */
export interface Pace {
  readonly sleepMs: number;
  readonly wakeMs: number;
  readonly reloadMs: number;
  readonly ttftMs: number;
  readonly itlMs: number;
  readonly answerTokens: number;
}

/** Engines that take no time of their own, and answers that are short. */
export const NO_TIME: Pace = { sleepMs: 0, wakeMs: 0, reloadMs: 0, ttftMs: 0, itlMs: 0, answerTokens: 8 };

/** A process under measurement. */
export interface StartedProcess {
  readonly pid: number;
  /** All that it has printed so far. */
  readonly output: () => string;
  /** Whether it has ended. */
  readonly hasEnded: () => boolean;
  /** Ends it, by force after 15 s; resolves when it has ended. */
  readonly end: () => Promise<void>;
}

const END_GRACE_MS = 15_000;

/** Whoever opens it disposes of it: that ends what still runs, and removes the folder. */
export class BenchGround implements AsyncDisposable {
  readonly folder = mkdtempSync(join(tmpdir(), "llmux-bench-"));
  /** A single program that is the stand-in engine, for those who take no more than a name. */
  readonly engineProgram = join(this.folder, "engine");
  readonly #loadFile = join(this.folder, "load-ms");
  readonly #environment: Record<string, string | undefined>;
  readonly #processes: { readonly child: ChildProcess; readonly end: () => Promise<void> }[] = [];

  /** Null: each engine's own flags say how long it takes. */
  constructor(pace: Pace | null) {
    this.setLoadMs(0);
    const load = `read -r MOCK_VLLM_LOAD_MS < '${this.#loadFile}'\nexport MOCK_VLLM_LOAD_MS`;
    this.executable("engine", `${load}\nexec '${process.execPath}' '${STAND_IN}' "$@"`);
    const clean = Object.entries(process.env).filter(([name]) => !/^(MOCK_)?VLLM_|^CUDA_|^NODE_|^LLMUX_/.test(name));
    this.#environment = {
      ...Object.fromEntries(clean),
      MOCK_VLLM_LEDGER: join(this.folder, "ledger"),
      // Two awake models would not fit: a switch that cheats fails.
      MOCK_VLLM_GPUS: "0:8GiB",
      ...(pace === null ? {} : paceVariables(pace)),
    };
  }

  /** How long the next start of an engine takes, beyond what its processes need to come up. */
  setLoadMs(loadMs: number): void {
    writeFileSync(this.#loadFile, `${loadMs}\n`);
  }

  /** Writes a file into the folder and returns its path. */
  write(name: string, text: string): string {
    const path = join(this.folder, name);
    writeFileSync(path, text);
    return path;
  }

  /** Writes a shell script into the folder and returns its path. */
  executable(name: string, script: string): string {
    const path = this.write(name, `#!/bin/sh\n${script}\n`);
    chmodSync(path, 0o755);
    return path;
  }

  /** Starts a program in this place, its output in a file. */
  start(name: string, command: readonly [string, ...string[]]): StartedProcess {
    const [program, ...args] = command;
    const outputFile = join(this.folder, `${name}.log`);
    const output = openSync(outputFile, "w");
    const child = spawn(program, args, { cwd: this.folder, env: this.#environment, stdio: ["ignore", output, output] });
    closeSync(output);
    const exited = Promise.race([once(child, "exit"), once(child, "error")]);
    const hasEnded = (): boolean => child.exitCode !== null || child.signalCode !== null;
    const end = async (): Promise<void> => {
      if (child.pid === undefined || hasEnded()) return;
      child.kill("SIGTERM");
      const timer = setTimeout(() => child.kill("SIGKILL"), END_GRACE_MS);
      await exited;
      clearTimeout(timer);
    };
    this.#processes.push({ child, end });
    exited.catch(() => {});
    return { pid: child.pid ?? 0, output: () => readFileSync(outputFile, "utf8"), hasEnded, end };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#processes.map(({ end }) => end()));
    this.#killOrphans();
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 3 });
  }

  /** llmux 0.3.0 leaves its engines behind when it is told to end; each leads a process group of its own. */
  #killOrphans(): void {
    const marker = `MOCK_VLLM_LEDGER=${this.#environment["MOCK_VLLM_LEDGER"]}`;
    for (const { pid, group } of allStats()) {
      if (pid !== group || !hasMarker(pid, marker)) continue;
      try {
        process.kill(-group, "SIGKILL");
      } catch {
        // It has ended meanwhile.
      }
    }
  }
}

function paceVariables(pace: Pace): Record<string, string> {
  return {
    MOCK_VLLM_SLEEP_MS: String(pace.sleepMs),
    MOCK_VLLM_WAKE_MS: String(pace.wakeMs),
    MOCK_VLLM_RELOAD_MS: String(pace.reloadMs),
    MOCK_VLLM_TTFT_MS: String(pace.ttftMs),
    MOCK_VLLM_ITL_MS: String(pace.itlMs),
    MOCK_VLLM_ANSWER_TOKENS: String(pace.answerTokens),
  };
}

/** Ports on loopback that were free a moment ago, all different. */
export async function freePorts(count: number): Promise<readonly number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, "127.0.0.1"));
  await Promise.all(servers.map((server) => once(server, "listening")));
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}
