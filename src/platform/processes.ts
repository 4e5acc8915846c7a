/** Starts and ends engine processes: each leads a session and a group of its own. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, constants, mkdirSync, openSync } from "node:fs";
import { dirname } from "node:path";
import type { EngineProcess, ExitStatus, Kinship, ProcessHost, SpawnRequest } from "../ports/process-host.ts";
import { allStats, bootId, hasMarker, readCommandLine, readExecutable, readStat, type ProcStat } from "./proc.ts";

/** The machine's processes, by signals and /proc. */
export const systemProcesses: ProcessHost = {
  spawn: spawnLeader,
  identify(pid) {
    const stat = readStat(pid);
    const commandLine = readCommandLine(pid);
    if (stat === null || stat.state === "Z" || commandLine === null) return null;
    return { pid, startTime: startTimeOf(stat.startTicks), commandLine, executable: readExecutable(pid) };
  },
  groupExists(leaderPid) {
    // To the system, group 0 is the caller's own.
    if (leaderPid === 0) return false;
    try {
      process.kill(-leaderPid, 0);
      return true;
    } catch (error) {
      return !isGone(error);
    }
  },
  members: (leaderPid) =>
    living()
      .filter((stat) => stat.session === leaderPid || stat.group === leaderPid)
      .map((stat) => stat.pid),
  marked: (marker) =>
    living()
      .filter((stat) => hasMarker(stat.pid, marker))
      .map((stat) => stat.pid),
  relatives,
  signal(leaderPid, pids, signal) {
    const inGroup = new Set(leaderPid === 0 ? [] : pids.filter((pid) => readStat(pid)?.group === leaderPid));
    // A group's id is not given to a new process while a member lives, so with members it is still the group we mean.
    if (inGroup.size > 0) send(-leaderPid, signal);
    for (const pid of pids) if (!inGroup.has(pid)) send(pid, signal);
  },
};

function startTimeOf(startTicks: string): string {
  return `${bootId()}:${startTicks}`;
}

/** To read an environment costs more than all the rest, so only those are looked into who can have inherited the marker. */
function relatives({ leaderPid, marker, since }: Kinship): readonly number[] {
  const stats = allStats();
  const sinceTicks = since === null ? 0 : Number(since.slice(since.lastIndexOf(":") + 1));
  if (since !== null && since !== startTimeOf(String(sinceTicks))) return [];
  const leader = stats.find(({ pid }) => pid === leaderPid);
  const pidIsOurs = since === null || leader === undefined || Number(leader.startTicks) === sinceTicks;
  return stats
    .filter((stat) => stat.state !== "Z" && Number(stat.startTicks) >= sinceTicks)
    .filter(
      ({ pid, session, group }) =>
        (pidIsOurs && (session === leaderPid || group === leaderPid)) || hasMarker(pid, marker),
    )
    .map(({ pid }) => pid);
}

function living(): ProcStat[] {
  return allStats().filter((stat) => stat.state !== "Z");
}

async function spawnLeader(request: SpawnRequest): Promise<EngineProcess> {
  const [program, ...args] = request.command;
  if (program === undefined) throw new Error("an empty command");
  const output = request.outputFile === null ? "ignore" : openOutput(request.outputFile);
  try {
    const child = spawn(program, args, { env: request.env, detached: true, stdio: ["ignore", output, output] });
    const exited = new Promise<ExitStatus>((resolve) => {
      child.once("exit", (exitCode, signal) => resolve({ exitCode, signal }));
    });
    await once(child, "spawn");
    // One that does not end, not even when it is killed, must not keep us.
    child.unref();
    if (child.pid === undefined) throw new Error(`${program} started without a pid`);
    return { pid: child.pid, exited };
  } finally {
    if (typeof output === "number") closeSync(output);
  }
}

/** A file that cannot be opened costs the engine its log, not its start. */
function openOutput(path: string): number | "ignore" {
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    return openSync(path, constants.O_WRONLY | constants.O_CREAT | constants.O_APPEND, 0o600);
  } catch {
    return "ignore";
  }
}

function send(target: number, signal: "SIGTERM" | "SIGKILL"): void {
  try {
    process.kill(target, signal);
  } catch (error) {
    if (!isGone(error) && !isForbidden(error)) throw error;
  }
}

function isGone(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "ESRCH";
}

/** It runs as another user, as what `sudo` has started does. Whoever looks afterwards finds it still there. */
function isForbidden(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "EPERM";
}
