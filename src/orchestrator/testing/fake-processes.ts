/** Pretend processes: each test says who lives, who heeds which signal, and when they end. */
import type { EngineProcess, ExitStatus, Kinship, ProcessHost, ProcessIdentity } from "../../ports/process-host.ts";

/** One pretend process. */
export interface FakeProcess {
  readonly pid: number;
  /** The pid of its group's and session's leader. */
  readonly leader: number;
  readonly marker?: string;
  readonly startTime?: string;
  readonly commandLine?: string;
  readonly executable?: string;
  /** The signals that end it at once; both unless told otherwise. */
  readonly heeds?: readonly ("SIGTERM" | "SIGKILL")[];
}

/** All processes of a pretend machine. */
export class FakeProcesses implements ProcessHost {
  readonly all = new Map<number, FakeProcess>();
  /** `SIGTERM 100,101`, in order. */
  readonly signals: string[] = [];
  /** What is started: the leader, and who is there with it. */
  family: (marker: string) => readonly FakeProcess[] = (marker) => [{ pid: 100, leader: 100, marker }];
  readonly #exits = new Map<number, (status: ExitStatus) => void>();

  add(...processes: readonly FakeProcess[]): this {
    for (const each of processes) this.all.set(each.pid, each);
    return this;
  }

  spawn(request: { readonly env: Readonly<Record<string, string>> }): Promise<EngineProcess> {
    const family = this.family(`LLMUX_ENGINE=${request.env["LLMUX_ENGINE"]}`);
    this.add(...family);
    const pid = family[0]?.pid ?? 0;
    const { promise: exited, resolve } = Promise.withResolvers<ExitStatus>();
    this.#exits.set(pid, resolve);
    return Promise.resolve({ pid, exited });
  }

  /** It ends, and whoever started it hears of it. */
  end(pid: number, status: ExitStatus = { exitCode: 0, signal: null }): void {
    this.all.delete(pid);
    this.#exits.get(pid)?.(status);
    this.#exits.delete(pid);
  }

  identify(pid: number): ProcessIdentity | null {
    const found = this.all.get(pid);
    if (found === undefined) return null;
    const { startTime = `boot:${pid}`, commandLine = `engine ${pid}`, executable = "/bin/engine" } = found;
    return { pid, startTime, commandLine, executable };
  }

  groupExists(leaderPid: number): boolean {
    return this.members(leaderPid).length > 0;
  }

  members(leaderPid: number): readonly number[] {
    return [...this.all.values()].filter(({ leader }) => leader === leaderPid).map(({ pid }) => pid);
  }

  marked(marker: string): readonly number[] {
    return [...this.all.values()].filter((each) => each.marker === marker).map(({ pid }) => pid);
  }

  relatives({ leaderPid, marker, since }: Kinship): readonly number[] {
    if (since !== null && !since.startsWith("boot:")) return [];
    const leader = this.identify(leaderPid);
    const isOurs = since === null || leader === null || leader.startTime === since;
    return [...new Set([...(isOurs ? this.members(leaderPid) : []), ...this.marked(marker)])];
  }

  signal(_leaderPid: number, pids: readonly number[], signal: "SIGTERM" | "SIGKILL"): void {
    this.signals.push(`${signal} ${pids.join()}`);
    for (const pid of pids) {
      const { heeds = ["SIGTERM", "SIGKILL"] } = this.all.get(pid) ?? {};
      if (heeds.includes(signal)) this.end(pid, { exitCode: null, signal });
    }
  }
}
