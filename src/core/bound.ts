/** The longest that a request can wait, from what the policy promises and what switches cost here. */
import { isAway, wakesFrom } from "./engine-state.ts";
import type { Engines, ModelRecord } from "./engines.ts";
import type { Island } from "./island.ts";
import type { Policy } from "./policy.ts";
import type { SwitchCosts } from "./switch-cost.ts";

interface Parts {
  readonly policy: Policy;
  readonly costs: SwitchCosts;
  readonly engines: Engines;
  readonly drainMaxMs: number | null;
}

/** For a request for any model of an island that comes now, in ms; null: there is no bound. It holds as long as nothing fails and switches cost what they have cost. */
export function boundOn(island: Island, { policy, costs, engines, drainMaxMs }: Parts): number | null {
  if (policy.boundMs === undefined) return null;
  let olderWaiting = 0;
  for (const { queue, suspendedSinceMs, leases } of island.waiting) {
    olderWaiting += queue.length + (suspendedSinceMs === null ? 0 : leases.size);
  }
  return policy.boundMs({
    otherModels: island.models.length - 1,
    olderWaiting,
    inFlightMax: Math.min(...island.models.map(({ inFlightMax = Infinity }) => inFlightMax)),
    switchCostMaxMs: Math.max(...island.models.map(({ id }) => costs.largestMs(id, levelOf(engines.get(id))))),
    drainMaxMs,
    devicesMax: Math.max(...island.models.map(({ devices }) => devices.length)),
  });
}

/** From which level it will come up next. */
function levelOf({ state, spec }: ModelRecord): 1 | 2 | 3 {
  return isAway(state) ? wakesFrom(state) : spec.sleepLevel;
}
