/** The longest that a request can wait, from what the policy promises and what switches cost here. */
import { isAway, wakesFrom } from "./engine-state.ts";
import type { Engines, ModelRecord } from "./engines.ts";
import type { ModelSpec } from "./model.ts";
import type { Policy } from "./policy.ts";
import type { SwitchCosts } from "./switch-cost.ts";

interface Parts {
  readonly policy: Policy;
  readonly costs: SwitchCosts;
  readonly engines: Engines;
  readonly drainMaxMs: number | null;
}

/** For a request that comes now, in ms; null: there is no bound. It holds as long as nothing fails and switches cost what they have cost. */
export function boundFor({ island }: ModelRecord, { policy, costs, engines, drainMaxMs }: Parts): number | null {
  if (policy.boundMs === undefined) return null;
  let olderWaiting = 0;
  for (const { queue, suspendedSinceMs, leases } of island.waiting) {
    olderWaiting += queue.length + (suspendedSinceMs === null ? 0 : leases.size);
  }
  return policy.boundMs({
    otherModels: island.models.length - 1,
    olderWaiting,
    inFlightMax: least(island.models, ({ inFlightMax = Infinity }) => inFlightMax),
    switchCostMaxMs: -least(island.models, ({ id }) => -costs.largestMs(id, levelOf(engines.get(id)))),
    drainMaxMs,
    devicesMax: -least(island.models, ({ devices }) => -devices.length),
  });
}

/** From which level it will come up next. */
function levelOf({ state, spec }: ModelRecord): 1 | 2 | 3 {
  return isAway(state) ? wakesFrom(state) : spec.sleepLevel;
}

function least(models: readonly ModelSpec[], of: (model: ModelSpec) => number): number {
  return models.reduce((least, model) => Math.min(least, of(model)), Infinity);
}
