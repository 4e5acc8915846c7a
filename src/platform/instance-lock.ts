/** One llmux a state folder: a second one would take the first one's engines for leftovers. */
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { ProcessHost, ProcessIdentity } from "../ports/process-host.ts";

/** Held until `release`, or until the process ends, however it ends. */
export interface InstanceLock {
  release(): void;
}

/** Rejects, by throwing, while a living llmux has the folder. */
export function lockStateDir(stateDir: string, processes: ProcessHost): InstanceLock {
  mkdirSync(stateDir, { recursive: true, mode: 0o700 });
  const path = join(stateDir, "llmux.lock");
  const own = JSON.stringify(processes.identify(process.pid));
  while (!create(path, own)) {
    const found = read(path);
    const holder = parse(found);
    if (holder !== null && isAlive(holder, processes)) {
      throw new Error(
        `another llmux (pid ${holder.pid}) runs with state_dir ${stateDir}; give this one a state_dir of its own`,
      );
    }
    removeStale(path, found);
  }
  return {
    release() {
      if (read(path) === own) rmSync(path, { force: true });
    },
  };
}

function create(path: string, text: string): boolean {
  try {
    writeFileSync(path, text, { flag: "wx", mode: 0o600 });
    return true;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "EEXIST") return false;
    throw error;
  }
}

/** Moves the lock aside before it is removed: if another start was quicker, what we moved is its lock, and goes back. */
function removeStale(path: string, stale: string): void {
  const aside = `${path}.${process.pid}`;
  try {
    renameSync(path, aside);
  } catch {
    return; // Somebody else has removed it.
  }
  const moved = read(aside);
  if (moved !== stale) create(path, moved);
  rmSync(aside, { force: true });
}

function isAlive(holder: ProcessIdentity, processes: ProcessHost): boolean {
  return processes.identify(holder.pid)?.startTime === holder.startTime;
}

function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

function parse(text: string): ProcessIdentity | null {
  try {
    const value: unknown = JSON.parse(text);
    const { pid, startTime } = value as Partial<ProcessIdentity>;
    return typeof pid === "number" && typeof startTime === "string" ? (value as ProcessIdentity) : null;
  } catch {
    return null;
  }
}
