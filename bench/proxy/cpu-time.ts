/** CPU time and memory of running processes, as /proc tells. Linux only. */
import { readdirSync, readFileSync, writeFileSync } from "node:fs";

/** What the threads of the processes have run, user and system time together, in µs. */
export function cpuTimeUs(pids: readonly number[]): number {
  return pids.flatMap(threadTimesUs).reduce((sum, timeUs) => sum + timeUs, 0);
}

/** The scheduler's own account, in ns: `stat` has the same in steps of 10 ms. Threads that have ended are not in it. */
function threadTimesUs(pid: number): readonly number[] {
  return readdirSync(`/proc/${pid}/task`).map((task) => {
    const [ranNs = "0"] = readFileSync(`/proc/${pid}/task/${task}/schedstat`, "utf8").split(" ");
    return Number(ranNs) / 1_000;
  });
}

/** What the first thread of a process has run, in µs. */
export function mainThreadTimeUs(pid: number): number {
  const [ranNs = "0"] = readFileSync(`/proc/${pid}/task/${pid}/schedstat`, "utf8").split(" ");
  return Number(ranNs) / 1_000;
}

/** A process and its direct children, for programs that leave the work to those. */
export function withChildren(pid: number): readonly number[] {
  const children = readdirSync(`/proc/${pid}/task`).flatMap((task) => {
    const text = readFileSync(`/proc/${pid}/task/${task}/children`, "utf8").trim();
    return text === "" ? [] : text.split(" ").map(Number);
  });
  return [pid, ...children];
}

/** From here on the peak counts anew. */
export function forgetPeakMemory(pid: number): void {
  writeFileSync(`/proc/${pid}/clear_refs`, "5");
}

/** The largest resident memory since the start, or since it was forgotten, in bytes. */
export function peakMemoryBytes(pid: number): number {
  const match = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"));
  if (match === null) throw new Error(`process ${pid} has no resident memory`);
  return Number(match[1]) * 1024;
}
