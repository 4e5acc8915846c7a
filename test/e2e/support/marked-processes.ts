/** The processes of one test, found by a variable in their environment and ended by their pid. */
import { readdirSync, readFileSync } from "node:fs";

/** The living processes, other than this one, that were started with `marker` (`NAME=value`) in their environment. */
export function markedProcesses(marker: string): readonly number[] {
  return readdirSync("/proc").flatMap((name) => {
    const pid = Number(name);
    return Number.isInteger(pid) && pid !== process.pid && isMarked(pid, marker) ? [pid] : [];
  });
}

/** What a process is, for messages: its pid and its arguments. */
export function describeProcess(pid: number): string {
  return `${pid} (${read(`/proc/${pid}/cmdline`).replaceAll("\0", " ").trim()})`;
}

/** Kills every marked process, and those that they start meanwhile. */
export async function killMarked(marker: string): Promise<void> {
  for (let pids = markedProcesses(marker); pids.length > 0; pids = markedProcesses(marker)) {
    for (const pid of pids) kill(pid);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** True until the process has ended; one that only waits to be reaped has. */
export function isAlive(pid: number): boolean {
  const stat = read(`/proc/${pid}/stat`);
  return stat !== "" && !/^\) [ZX] /.test(stat.slice(stat.lastIndexOf(")")));
}

function isMarked(pid: number, marker: string): boolean {
  return read(`/proc/${pid}/environ`).split("\0").includes(marker);
}

function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // Gone by itself.
  }
}

function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
