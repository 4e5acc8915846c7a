/** What /proc says a process uses: memory, file descriptors, processes below it. Linux only. */
import { readdirSync, readFileSync } from "node:fs";

/** One look. */
export interface ProcessFigures {
  readonly rssBytes: number;
  readonly fileDescriptors: number;
  /** The process itself, its children and theirs, whatever state they are in. */
  readonly processes: number;
}

/** Throws when the process is gone. */
export function lookAt(pid: number): ProcessFigures {
  return {
    rssBytes: rssBytesOf(pid),
    fileDescriptors: readdirSync(`/proc/${pid}/fd`).length,
    processes: countTree(pid),
  };
}

/** Memory that is resident now, in bytes. */
export function rssBytesOf(pid: number): number {
  const match = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"));
  if (match === null) throw new Error(`process ${pid} has no resident memory`);
  return Number(match[1]) * 1024;
}

function countTree(pid: number): number {
  const parents = new Map<number, number>();
  for (const name of readdirSync("/proc")) {
    const parent = /^\d+$/.test(name) ? parentOf(name) : null;
    if (parent !== null) parents.set(Number(name), parent);
  }
  const isBelow = (one: number | undefined): boolean => one !== undefined && (one === pid || isBelow(parents.get(one)));
  return [...parents.keys()].filter(isBelow).length;
}

/** Null when the process has just ended. */
function parentOf(pid: string): number | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    // The second field, the name in parentheses, may itself hold blanks and parentheses.
    return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
  } catch {
    return null;
  }
}
