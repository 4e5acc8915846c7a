/** How long a request that comes now will wait at least, as far as measurements tell. Never a guess: what is not known counts as nothing. */
import { wakesFrom } from "./engine-state.ts";
import type { ModelRecord } from "./engines.ts";
import type { SwitchCosts } from "./switch-cost.ts";

/**
 * In ms. What is left of a start or a wake (the whole of it where none is under way), then the time that those in front need:
 * as many run at once as are let in, each for as long as requests have been held lately. Turns of other models are not counted.
 */
export function expectedWaitMs(record: ModelRecord, costs: SwitchCosts, nowMs: number): number {
  return untilAwakeMs(record, costs, nowMs) + untilRoomMs(record);
}

function untilAwakeMs(record: ModelRecord, costs: SwitchCosts, nowMs: number): number {
  const { state, spec, stateSinceMs } = record;
  switch (state.kind) {
    case "awake":
      return 0;
    case "starting":
      return Math.max(0, (costs.wakeMs(spec.id, 3) ?? 0) - (nowMs - stateSinceMs));
    case "waking":
      return Math.max(0, (costs.wakeMs(spec.id, state.from) ?? 0) - (nowMs - stateSinceMs));
    case "asleep":
    case "stopped":
    case "failed":
    case "draining":
    case "falling asleep":
    case "stopping":
      return costs.wakeMs(spec.id, wakesFrom(state)) ?? 0;
  }
  return state satisfies never;
}

function untilRoomMs({ spec, leases, queue, heldAverageMs }: ModelRecord): number {
  const { inFlightMax } = spec;
  if (inFlightMax === undefined || heldAverageMs === null) return 0;
  const inFront = queue.length + leases.size;
  return inFront < inFlightMax ? 0 : ((inFront - inFlightMax + 1) / inFlightMax) * heldAverageMs;
}
