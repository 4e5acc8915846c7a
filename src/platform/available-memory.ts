/** How much of the host's memory could be given to a new program, as Linux tells it. */
import { readFileSync } from "node:fs";

/** Where the figures are. */
export interface MemoryFiles {
  /** Of the whole machine. */
  readonly meminfo: string;
  /** Of the container or service that this process is in: cgroup version 2, as seen from inside. */
  readonly limit: string;
  readonly used: string;
}

const SYSTEM: MemoryFiles = {
  meminfo: "/proc/meminfo",
  limit: "/sys/fs/cgroup/memory.max",
  used: "/sys/fs/cgroup/memory.current",
};

/** In bytes, caches that could be dropped included; no more than a container's limit leaves; null where nothing tells. */
export function availableMemoryBytes(files: MemoryFiles = SYSTEM): number | null {
  const ofMachine = parseMemAvailable(textOf(files.meminfo));
  const ofContainer = roomUnder(textOf(files.limit), textOf(files.used));
  if (ofMachine === null || ofContainer === null) return ofMachine ?? ofContainer;
  return Math.min(ofMachine, ofContainer);
}

/** The line `MemAvailable:   123456 kB`, in bytes (the file's kB are 1024 bytes). */
export function parseMemAvailable(text: string): number | null {
  const kibibytes = /^MemAvailable:\s+(\d+) kB$/m.exec(text)?.[1];
  return kibibytes === undefined ? null : Number(kibibytes) * 1024;
}

/** What a limit leaves; null where there is none ("max") or no such file. */
function roomUnder(limit: string, used: string): number | null {
  if (!/^\d+\s*$/.test(limit) || !/^\d+\s*$/.test(used)) return null;
  return Math.max(0, Number(limit) - Number(used));
}

function textOf(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}
