/** How long a request that comes now will wait at least, as far as measurements tell. Never a guess: what is not known counts as nothing. */
import { wakesFrom } from "./engine-state.ts";
import type { ModelRecord } from "./engines.ts";
import type { Priority } from "./model.ts";
import type { SwitchCosts } from "./switch-cost.ts";

/**
 * In ms. What is left of a start or a wake (the whole of it where none is under way), then the time that those in front need:
 * as many run at once as are let in, each for as long as requests have been held lately. Less urgent ones are not in front. Turns
 * of other models are not counted.
 */
export function expectedWaitMs(record: ModelRecord, priority: Priority, costs: SwitchCosts, nowMs: number): number {
  return untilAwakeMs(record, costs, nowMs) + untilRoomMs(record, priority);
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
    case "draining":
      // It may be called off: then its gate opens at once.
      return 0;
    case "falling asleep":
      return costs.wakeMs(spec.id, state.to) ?? 0;
    case "asleep":
    case "stopped":
    case "failed":
    case "stopping":
      return costs.wakeMs(spec.id, wakesFrom(state)) ?? 0;
  }
  return state satisfies never;
}

function untilRoomMs({ spec, leases, queue, heldAverageMs }: ModelRecord, priority: Priority): number {
  const { inFlightMax } = spec;
  if (inFlightMax === undefined || heldAverageMs === null) return 0;
  const inFront = queue.countInFrontOf(priority) + leases.size;
  return inFront < inFlightMax ? 0 : ((inFront - inFlightMax + 1) / inFlightMax) * heldAverageMs;
}
