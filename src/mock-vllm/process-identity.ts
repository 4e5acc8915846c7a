/** Who a process is: its pid together with its start time, so that a reused pid is never taken for the old process. */
import { readFileSync } from "node:fs";

/** A process for all time. `startTicks` is field 22 of /proc/PID/stat, or "" where there is no /proc. */
export interface ProcessIdentity {
  readonly pid: number;
  readonly startTicks: string;
}

/** The identity of a process that runs now; undefined when there is none with this pid, or only a zombie. */
export function processIdentity(pid: number): ProcessIdentity | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    // The second field is the name in brackets and may itself hold blanks and brackets.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    if (fields[0] === "Z" || fields[0] === "X") return undefined;
    return { pid, startTicks: fields[19] ?? "" };
  } catch {
    return process.platform === "linux" || !answersSignals(pid) ? undefined : { pid, startTicks: "" };
  }
}

/** Whether this very process, and no later one with its pid, is alive. */
export function isAlive(identity: ProcessIdentity): boolean {
  return processIdentity(identity.pid)?.startTicks === identity.startTicks;
}

function answersSignals(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
