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
  /** Its arguments, joined by blanks. */
  readonly commandLine: string;
}

/** The machine's processes. */
export interface ProcessHost {
  /** Rejects when the program cannot be started. */
  spawn(request: SpawnRequest): Promise<EngineProcess>;
  /** Null when there is no such process, or it is only waiting to be reaped. */
  identify(pid: number): ProcessIdentity | null;
  /**
   * The living members of the session that `leaderPid` led, by pid, whether or not the leader is among them. Given
   * `marker` (`NAME=value`), only those that carry it in their environment, wherever they have gone.
   */
  members(leaderPid: number, marker?: string): readonly number[];
  /** Sends the signal to the group that `leaderPid` led and to each of `members`; those that are gone are passed over. */
  signal(leaderPid: number, members: readonly number[], signal: "SIGTERM" | "SIGKILL"): void;
}
