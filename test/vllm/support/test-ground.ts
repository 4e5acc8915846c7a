/** A folder in which everything runs that the test starts, so that all of it can be found again and ended. */
import { randomUUID } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { until } from "../../support/until.ts";

/** Gigabytes of memory are not given back in a moment. */
const VANISH_MS = 30_000;

const SHARED_MEMORY = "/dev/shm";

interface Process {
  readonly pid: number;
  readonly parent: number;
  readonly group: number;
  readonly session: number;
  /** As the process calls itself, cut to 15 characters. */
  readonly name: string;
}

/**
 * A process belongs to the test if it carries the marker in its environment, works in the folder, or is in the group or
 * session of an engine that is known. One of them would not do: vLLM's children overwrite their environment with a title.
 */
export class TestGround {
  readonly folder = mkdtempSync(join(process.env["LLMUX_VLLM_RUN"] ?? tmpdir(), "llmux-vllm-"));
  readonly #marker = `LLMUX_VLLM_MARKER=${randomUUID()}`;
  readonly #groups = new Set<number>();
  /** The inodes of what lies in /dev/shm: a semaphore is mapped under another name than the one it has there. */
  readonly #sharedMemory = new Set<number>();

  /** For everything that is started. Temporary files go into the folder too. */
  get environment(): Record<string, string> {
    const [name = "", value = ""] = this.#marker.split("=");
    return { [name]: value, PATH: process.env["PATH"] ?? "", HOME: this.folder, TMPDIR: this.folder };
  }

  /** Remembers an engine: its group, and the shared memory that it would leave behind if it were killed. */
  know(leader: number): void {
    this.#groups.add(leader);
    for (const { pid } of this.members(leader)) this.#noteSharedMemory(pid);
  }

  /** The living members of an engine's group or session. */
  members(leader: number): readonly Process[] {
    return living().filter(({ group, session }) => group === leader || session === leader);
  }

  /** The EngineCore that an engine's API process has started. */
  core(leader: number): number {
    const core = this.members(leader).find(
      ({ parent, name }) => parent === leader && name.startsWith("VLLM::EngineCo"),
    );
    if (core === undefined) throw new Error(`the engine ${leader} has no EngineCore`);
    return core.pid;
  }

  /** Everything of this test that lives, in words. */
  left(): readonly string[] {
    return this.#processes().map(({ pid, name }) => `${pid} ${name}`);
  }

  /** Kills whatever is left and removes the folder, and what killed engines leave in shared memory. */
  async clear(): Promise<void> {
    await until("everything has ended", () => this.#killAll() === 0, VANISH_MS);
    for (const name of readdirSync(SHARED_MEMORY)) {
      const path = join(SHARED_MEMORY, name);
      const inode = statSync(path, { throwIfNoEntry: false })?.ino;
      if (inode !== undefined && this.#sharedMemory.has(inode)) rmSync(path, { force: true });
    }
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 3 });
  }

  #killAll(): number {
    const processes = this.#processes();
    for (const { pid } of processes) {
      this.#noteSharedMemory(pid);
      try {
        process.kill(pid, "SIGKILL");
      } catch {
        // Gone by itself.
      }
    }
    return processes.length;
  }

  #noteSharedMemory(pid: number): void {
    for (const [, inode] of read(`/proc/${pid}/maps`).matchAll(/ (\d+) +\/dev\/shm\//g)) {
      this.#sharedMemory.add(Number(inode));
    }
  }

  #processes(): readonly Process[] {
    return living().filter((one) => one.pid !== process.pid && this.#isOurs(one));
  }

  #isOurs({ pid, group, session }: Process): boolean {
    if (this.#groups.has(group) || this.#groups.has(session)) return true;
    return workingFolder(pid) === this.folder || read(`/proc/${pid}/environ`).split("\0").includes(this.#marker);
  }
}

/** Every process of the machine, those left out that only wait to be reaped. */
function living(): readonly Process[] {
  return readdirSync("/proc").flatMap((entry) => {
    const stat = /^\d+$/.test(entry) ? read(`/proc/${entry}/stat`) : "";
    // The name, in parentheses, may itself hold blanks and parentheses.
    const nameEnd = stat.lastIndexOf(")");
    const [state = "Z", parent, group, session] = stat.slice(nameEnd + 2).split(" ");
    if (state === "" || state === "Z" || state === "X") return [];
    const name = stat.slice(stat.indexOf("(") + 1, nameEnd);
    return [{ pid: Number(entry), parent: Number(parent), group: Number(group), session: Number(session), name }];
  });
}

function workingFolder(pid: number): string {
  try {
    return readlinkSync(`/proc/${pid}/cwd`);
  } catch {
    return "";
  }
}

function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
