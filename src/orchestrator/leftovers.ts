/** After a `kill -9` of llmux: finds the engines that the last run left behind, and ends them. */
import { describeError } from "../base/failure.ts";
import type { Clock } from "../ports/clock.ts";
import type { HttpClient } from "../ports/http-client.ts";
import type { Log } from "../ports/log.ts";
import type { ProcessHost } from "../ports/process-host.ts";
import { commandText, outcomeText, runCommand } from "./command-run.ts";
import { endProcesses } from "./ending.ts";
import { untilSilent } from "./silence.ts";
import type { EngineRecord, EngineRecords } from "./engine-record.ts";

/** What it needs. */
export interface LeftoverParts {
  readonly records: EngineRecords;
  readonly processes: ProcessHost;
  readonly clock: Clock;
  readonly log: Log;
  readonly http: HttpClient;
  readonly graceMs: number;
  /** What commands that stop an engine are run with. */
  readonly environment: Readonly<Record<string, string>>;
}

/**
 * Ends what the records name and removes them. A record whose processes cannot be ended stays for the next start, and
 * this rejects: starting engines beside it would over-commit a GPU.
 */
export async function endLeftovers(parts: LeftoverParts): Promise<void> {
  const { records, broken } = parts.records.readAll();
  for (const path of broken) parts.log.warn("engine record unreadable", { path });
  const results = await Promise.allSettled(records.map((record) => endOne(record, parts)));
  const failures = results.flatMap((result) => (result.status === "rejected" ? [describeError(result.reason)] : []));
  if (failures.length > 0) throw new Error(failures.join("; "));
}

async function endOne(record: EngineRecord, parts: LeftoverParts): Promise<void> {
  const { records, processes, clock, log, graceMs } = parts;
  const { model, pid } = record;
  const said = await stopByCommand(record, parts);
  const leaderLives = (): boolean => pid !== null && isSame(record, processes);
  const left = (): readonly number[] => processesOf(record, processes);
  const found = left();
  if (found.length > 0) log.warn("leftover engine found", { model, pids: found });
  const stubborn = await endProcesses({ leaderPid: pid ?? 0, left, leaderLives, graceMs }, processes, clock);
  if (stubborn.length > 0) {
    throw new Error(`the engine of ${model} that an earlier run left (pids ${stubborn.join(", ")}) cannot be ended`);
  }
  const origin = record.stop?.origin;
  if (
    said !== null &&
    origin !== undefined &&
    !(await untilSilent(origin, { ...parts, limits: { stopGraceMs: graceMs } }))
  ) {
    throw new Error(`the engine of ${model} that an earlier run left still answers at ${origin} after ${said}`);
  }
  if (found.length > 0) log.info("leftover engine ended", { model, pids: found });
  records.remove(model);
}

/**
 * Nobody can see whether what a command has started elsewhere still runs, so its stop is run in any case, and may well find nothing.
 * Resolves with what it did, in words.
 */
async function stopByCommand({ model, stop }: EngineRecord, parts: LeftoverParts): Promise<string | null> {
  if (stop === undefined) return null;
  const { processes, clock, log, environment } = parts;
  const { command, timeoutMs } = stop;
  const wrong = await runCommand({ command, env: environment, outputFile: null, timeoutMs }, processes, clock);
  log.warn("leftover engine stopped by its command", {
    model,
    command: commandText(command),
    ...(wrong === null ? {} : { reason: wrong }),
  });
  return outcomeText(command, wrong);
}

/** Pid, start time and command line must all fit; a process that rewrote its arguments is known by its environment. */
function isSame(record: EngineRecord, processes: ProcessHost): boolean {
  if (record.pid === null) return false;
  const now = processes.identify(record.pid);
  if (now === null || now.startTime !== record.startTime) return false;
  return record.commandLines.includes(now.commandLine) || processes.marked(record.marker).includes(record.pid);
}

/**
 * Who is left: everyone who carries the marker; and in the leader's session those who run its program, since engines'
 * children overwrite their environment with a title. Nobody at all if the leader's pid belongs to somebody else now.
 */
function processesOf(record: EngineRecord, processes: ProcessHost): readonly number[] {
  const { pid, marker, startTime, executable } = record;
  const marked = processes.marked(marker);
  if (pid === null || startTime === null) return marked;
  const leaderLives = isSame(record, processes);
  if (!leaderLives && processes.identify(pid) !== null) return marked;
  const runsItsProgram = (member: number): boolean =>
    executable !== "" && processes.identify(member)?.executable === executable;
  return processes
    .relatives({ leaderPid: pid, marker, since: startTime })
    .filter((member) => leaderLives || marked.includes(member) || runsItsProgram(member));
}
