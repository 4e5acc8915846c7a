/** A model as a snapshot has it, for tests of those who look at snapshots. */
import type { ModelSnapshot } from "../snapshot.ts";

/** A model that was never started, but for what `extra` says. */
export function modelSnapshot(id: string, extra: Partial<ModelSnapshot> = {}): ModelSnapshot {
  return {
    id,
    devices: ["0"],
    sleepLevel: 1,
    state: { kind: "stopped" },
    stateSinceMs: 0,
    waiting: 0,
    oldestEnqueuedAtMs: null,
    inFlight: 0,
    suspended: 0,
    priority: "normal",
    pinned: false,
    memory: { needBytes: null, residueBytes: 2 * 1024 ** 3, residueIsMeasured: false, hostBytes: null },
    boundMs: null,
    failuresInRow: 0,
    lastFailure: null,
    ...extra,
  };
}
