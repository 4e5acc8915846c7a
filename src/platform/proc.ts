/** What /proc says of processes. Linux only: elsewhere every answer is null or empty. */
import { readdirSync, readFileSync, readlinkSync } from "node:fs";

/** The fields of /proc/PID/stat that tell processes apart. */
export interface ProcStat {
  readonly pid: number;
  /** "R", "S", "D", "Z" (ended, not yet reaped), … */
  readonly state: string;
  readonly group: number;
  readonly session: number;
  /** Clock ticks since boot. */
  readonly startTicks: string;
}

/** Null when there is no such process. */
export function readStat(pid: number): ProcStat | null {
  const text = read(`/proc/${pid}/stat`);
  if (text === null) return null;
  // The second field, the name in parentheses, may itself hold blanks and parentheses.
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  const [state, , group, session] = fields;
  const startTicks = fields[19];
  if (state === undefined || group === undefined || session === undefined || startTicks === undefined) return null;
  return { pid, state, group: Number(group), session: Number(session), startTicks };
}

/** Every process of the machine. */
export function allStats(): ProcStat[] {
  const stats: ProcStat[] = [];
  for (const name of list("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const stat = readStat(Number(name));
    if (stat !== null) stats.push(stat);
  }
  return stats;
}

/** The arguments, joined by blanks; null when there is no such process. */
export function readCommandLine(pid: number): string | null {
  return read(`/proc/${pid}/cmdline`)?.replace(/\0+$/, "").replaceAll("\0", " ") ?? null;
}

/** The file of the program it runs; empty when that cannot be read. */
export function readExecutable(pid: number): string {
  try {
    return readlinkSync(`/proc/${pid}/exe`);
  } catch {
    return "";
  }
}

/** True when the process was started with `marker` (`NAME=value`) in its environment. */
export function hasMarker(pid: number, marker: string): boolean {
  return read(`/proc/${pid}/environ`)?.split("\0").includes(marker) ?? false;
}

/** Names this boot of the machine; start times are counted from it. Empty where it cannot be read. */
export function bootId(): string {
  return read("/proc/sys/kernel/random/boot_id")?.trim() ?? "";
}

function read(path: string): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch {
    // Gone meanwhile, or another user's.
    return null;
  }
}

function list(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}
