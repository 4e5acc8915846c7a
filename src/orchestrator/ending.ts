/** Ends an engine for good: SIGTERM to all of its processes, a grace period, SIGKILL, and a look that nobody is left. */
import { delay, type Clock } from "../ports/clock.ts";
import type { ProcessHost } from "../ports/process-host.ts";

/** How often we look whether somebody is left: soon after a signal, then less often. */
const LOOK_MS = [2, 5, 10, 20, 50] as const;

/** How long children may outlive a leader that ended when it was told to: vLLM's take up to 2 s (seen with 0.32 on a CPU). */
const CHILDREN_MS = 5_000;

/** A process that is still there so long after SIGKILL hangs in the kernel. */
const KILL_WAIT_MS = 5_000;

/** Who is left is a question to all processes of the machine: it is asked when the group has ended, and else only so often. */
const SCAN_MS = 250;

/** What is to be ended. */
export interface Ending {
  readonly leaderPid: number;
  /** Who is left of it, asked again and again. */
  readonly left: () => readonly number[];
  /** Whether the leader itself lives: without it nobody will clean up the rest, so there is no grace. */
  readonly leaderLives: () => boolean;
  /** Whether the leader was ended by another signal than ours while we waited, which is no time to clean up; false where unknown. */
  readonly leaderCrashed?: () => boolean;
  /** From SIGTERM to SIGKILL in ms. */
  readonly graceMs: number;
}

/**
 * A leader that died by itself leaves nobody who would clean up: then the rest is killed at once.
 *
 * Resolves with the pids that could not be ended: none, as a rule.
 */
export async function endProcesses(ending: Ending, processes: ProcessHost, clock: Clock): Promise<readonly number[]> {
  const first = ending.left();
  if (first.length === 0) return [];
  if (ending.leaderLives()) {
    processes.signal(ending.leaderPid, first, "SIGTERM");
    await until(() => !ending.leaderLives(), ending.graceMs, clock);
    // A leader that ended in order has told its children to end; killed on the spot, they would leave shared memory behind.
    if (!ending.leaderLives() && ending.leaderCrashed?.() !== true) {
      await until(() => !processes.groupExists(ending.leaderPid), Math.min(ending.graceMs, CHILDREN_MS), clock);
    }
  }
  const rest = ending.left();
  if (rest.length === 0) return [];
  processes.signal(ending.leaderPid, rest, "SIGKILL");
  let scannedAtMs = clock.nowMs();
  const nobodyIsLeft = (): boolean => {
    if (processes.groupExists(ending.leaderPid) && clock.nowMs() < scannedAtMs + SCAN_MS) return false;
    scannedAtMs = clock.nowMs();
    return ending.left().length === 0;
  };
  await until(nobodyIsLeft, KILL_WAIT_MS, clock);
  return ending.left();
}

async function until(done: () => boolean, limitMs: number, clock: Clock): Promise<void> {
  const endAtMs = clock.nowMs() + limitMs;
  for (let look = 0; !done() && clock.nowMs() < endAtMs; look += 1) {
    const pauseMs = LOOK_MS[Math.min(look, LOOK_MS.length - 1)] ?? 0;
    await delay(clock, Math.min(pauseMs, endAtMs - clock.nowMs()));
  }
}
