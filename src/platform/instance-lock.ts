/** One llmux a state folder: a second one would take the first one's engines for leftovers. */
import { existsSync, linkSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describeError } from "../base/failure.ts";
import type { ProcessHost, ProcessIdentity } from "../ports/process-host.ts";

/** Held until `release`, or until the process ends, however it ends. */
export interface InstanceLock {
  release(): void;
}

/** Rejects, by throwing, while a living llmux has the folder, and when nothing can be written there. */
export function lockStateDir(stateDir: string, processes: ProcessHost): InstanceLock {
  const path = join(stateDir, "llmux.lock");
  const own = JSON.stringify(processes.identify(process.pid));
  try {
    makeFolder(stateDir);
  } catch (error) {
    throw unusable(stateDir, error);
  }
  while (!create(stateDir, path, own)) {
    const found = readLock(stateDir, path);
    if (found === null) continue; // Its holder has just released it.
    const holder = parse(found);
    if (holder !== null && isAlive(holder, processes)) {
      throw new Error(
        `another llmux (pid ${holder.pid}) runs with state_dir ${stateDir}; give this one a state_dir of its own`,
      );
    }
    removeStale(stateDir, path, found);
  }
  return {
    release() {
      if (read(path) === own) removeIfPossible(path);
    },
  };
}

/** Node's own way to make parents too never returns where the system denies a folder whose parent is there, as in /proc. */
function makeFolder(path: string): void {
  const parent = dirname(path);
  if (!existsSync(parent)) makeFolder(parent);
  try {
    mkdirSync(path, { mode: 0o700 });
  } catch (error) {
    if (!isCode(error, "EEXIST")) throw error;
  }
}

/** False if there is a lock already. Ours appears with all that it says: half of one would be taken for a dead one's. */
function create(stateDir: string, path: string, text: string): boolean {
  const draft = `${path}.${process.pid}.new`;
  try {
    writeFileSync(draft, text, { mode: 0o600 });
    linkSync(draft, path);
    return true;
  } catch (error) {
    if (isCode(error, "EEXIST")) return false;
    throw unusable(stateDir, error);
  } finally {
    removeIfPossible(draft);
  }
}

/** Null when there is none. */
function readLock(stateDir: string, path: string): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if (isCode(error, "ENOENT")) return null;
    throw unusable(stateDir, error);
  }
}

function isCode(error: unknown, code: string): boolean {
  return error instanceof Error && "code" in error && error.code === code;
}

function unusable(stateDir: string, error: unknown): Error {
  return new Error(`state_dir ${stateDir} cannot be used: ${describeError(error)}`);
}

/** Moves the lock aside before it is removed: if another start was quicker, what we moved is its lock, and goes back. */
function removeStale(stateDir: string, path: string, stale: string): void {
  const aside = `${path}.${process.pid}`;
  try {
    renameSync(path, aside);
  } catch {
    return; // Somebody else has removed it.
  }
  const moved = read(aside);
  if (moved !== stale) create(stateDir, path, moved);
  rmSync(aside, { force: true });
}

/** On a disk that has become read-only it stays; with its process gone it is no lock any more. */
function removeIfPossible(path: string): void {
  try {
    rmSync(path, { force: true });
  } catch {
    // Nothing hangs on it.
  }
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
