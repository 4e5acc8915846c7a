/** Processes as a port: engines are started, signalled and looked for through this. */

/** What to start. */
export interface SpawnRequest {
  /** The program, then its arguments; at least the program. */
  readonly command: readonly string[];
  /** The whole environment of the new process. */
  readonly env: Readonly<Record<string, string>>;
  /** Both outputs are appended to this file; null discards them. */
  readonly outputFile: string | null;
}

/** How a process ended: one of the two is set. */
export interface ExitStatus {
  readonly exitCode: number | null;
  readonly signal: string | null;
}

/** A process that we started, the leader of its own session and group. */
export interface EngineProcess {
  readonly pid: number;
  /** Resolves when the leader has ended, and never rejects. Its children may live on. */
  readonly exited: Promise<ExitStatus>;
}

/** What tells a process from every other one that ever had its pid. */
export interface ProcessIdentity {
  readonly pid: number;
  /** When it was started, in the system's own ticks, with the boot it belongs to. */
  readonly startTime: string;
  /** Its arguments, joined by blanks. A process may rewrite them. */
  readonly commandLine: string;
  /** The file of its program; empty where the system does not tell. */
  readonly executable: string;
}

/** What tells an engine's processes from all others. */
export interface Kinship {
  readonly leaderPid: number;
  /** `NAME=value` in the environment that the leader was started with. */
  readonly marker: string;
  /** The leader's `startTime`: nobody older is one of them. Null where it is not known. */
  readonly since: string | null;
}

/** The machine's processes. `members`, `marked` and `relatives` look at every process there is: not for a tight loop. */
export interface ProcessHost {
  /** Rejects when the program cannot be started. */
  spawn(request: SpawnRequest): Promise<EngineProcess>;
  /** Null when there is no such process, or it is only waiting to be reaped. */
  identify(pid: number): ProcessIdentity | null;
  /** Whether the group that `leaderPid` led has a member, ended ones that nobody has reaped included. Costs next to nothing. */
  groupExists(leaderPid: number): boolean;
  /** The living members of the session or the group that `leaderPid` led, whether or not it is among them. */
  members(leaderPid: number): readonly number[];
  /** The living processes that were started with `marker` (`NAME=value`) in their environment, wherever they have gone. */
  marked(marker: string): readonly number[];
  /**
   * `members` and `marked` in one look, without those who cannot belong to it: who was there before the leader, and everyone
   * in its group or session once another process has the leader's pid.
   */
  relatives(kinship: Kinship): readonly number[];
  /** Signals the processes, and those of `leaderPid`'s group in one step; who is gone, or not ours to signal, is passed over. */
  signal(leaderPid: number, pids: readonly number[], signal: "SIGTERM" | "SIGKILL"): void;
}
