/** The machine's processes, simulated: they are started, signalled and looked for as the real ones are. */
import type { VirtualClock } from "../../src/simulation/virtual-clock.ts";
import type {
  EngineProcess,
  ExitStatus,
  ProcessHost,
  ProcessIdentity,
  SpawnRequest,
} from "../../src/ports/process-host.ts";

/** One process; who ends is taken out of the table. */
export interface SimulatedProcess {
  readonly pid: number;
  /** Its session and its group. */
  readonly leaderPid: number;
  readonly startTicks: number;
  readonly marker: string;
  readonly commandLine: string;
  readonly onSignal: (signal: "SIGTERM" | "SIGKILL") => void;
}

/** What comes of a process that llmux starts. */
export interface StartedProgram {
  readonly leader: SimulatedProcess;
  readonly exited: Promise<ExitStatus>;
}

/** The programs of this machine. Rejects when there is no such program. */
export type RunProgram = (request: SpawnRequest, marker: string) => StartedProgram;

/** From the call to the process, in ms. */
const SPAWN_MS = 3;

/** One machine; it outlives llmux. */
export class ProcessTable {
  readonly #clock: VirtualClock;
  readonly #living = new Map<number, SimulatedProcess>();
  /** Leaders that have ended and whose end their parent has not been told. */
  readonly #zombies = new Set<number>();
  #lastPid = 1000;

  constructor(clock: VirtualClock) {
    this.#clock = clock;
  }

  get living(): readonly SimulatedProcess[] {
    return [...this.#living.values()];
  }

  /** `leaderPid` null: it leads a group of its own. */
  add(process: Omit<SimulatedProcess, "pid" | "leaderPid" | "startTicks">, leaderPid: number | null): SimulatedProcess {
    this.#lastPid += 1;
    const added = {
      ...process,
      pid: this.#lastPid,
      leaderPid: leaderPid ?? this.#lastPid,
      startTicks: this.#clock.nowMs,
    };
    this.#living.set(added.pid, added);
    return added;
  }

  isAlive(pid: number): boolean {
    return this.#living.has(pid);
  }

  end(pid: number): void {
    this.#living.delete(pid);
  }

  /** From the end of a leader until its parent has heard of it. */
  setZombie(leaderPid: number, isZombie: boolean): void {
    if (isZombie) this.#zombies.add(leaderPid);
    else this.#zombies.delete(leaderPid);
  }

  /** The port through which one life of llmux sees this machine. */
  host(run: RunProgram): ProcessHost {
    const living = (): SimulatedProcess[] => [...this.#living.values()];
    return {
      spawn: (request) => this.#spawn(request, run),
      identify: (pid) => identityOf(this.#living.get(pid)),
      groupExists: (leader) => this.#zombies.has(leader) || living().some(({ leaderPid }) => leaderPid === leader),
      members: (leader) => pidsOf(living().filter(({ leaderPid }) => leaderPid === leader)),
      marked: (marker) => pidsOf(living().filter((process) => process.marker === marker)),
      relatives: ({ leaderPid, marker }) =>
        pidsOf(living().filter((process) => process.leaderPid === leaderPid || process.marker === marker)),
      signal: (_leaderPid, targets, signal) => {
        for (const pid of targets) {
          const process = this.#living.get(pid);
          // A signal is delivered when its sender has gone on.
          if (process !== undefined) this.#clock.after(0, () => this.isAlive(pid) && process.onSignal(signal));
        }
      },
    };
  }

  #spawn(request: SpawnRequest, run: RunProgram): Promise<EngineProcess> {
    const marker = `LLMUX_ENGINE=${request.env["LLMUX_ENGINE"] ?? ""}`;
    return new Promise((resolve, reject) => {
      this.#clock.after(SPAWN_MS, () => {
        try {
          const { leader, exited } = run(request, marker);
          resolve({ pid: leader.pid, exited });
        } catch (error) {
          reject(error);
        }
      });
    });
  }
}

function pidsOf(processes: readonly SimulatedProcess[]): readonly number[] {
  return processes.map(({ pid }) => pid);
}

function identityOf(process: SimulatedProcess | undefined): ProcessIdentity | null {
  if (process === undefined) return null;
  const { pid, startTicks, commandLine } = process;
  return { pid, startTime: `boot:${startTicks}`, commandLine, executable: "/usr/bin/python3" };
}
