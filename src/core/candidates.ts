/** What the policy gets to see: the models for which somebody waits in vain, and who would have to leave for them. */
import { assert } from "../base/assert.ts";
import type { Admission } from "./admission.ts";
import type { Engines, ModelRecord } from "./engines.ts";
import { mustLeave } from "./placement.ts";
import type { Candidate } from "./policy.ts";
import type { SwitchCosts } from "./switch-cost.ts";
import type { Switches } from "./switches.ts";

interface Parts {
  readonly engines: Engines;
  readonly admission: Admission;
  readonly switches: Switches;
  readonly costs: SwitchCosts;
}

/** All candidates of this moment. Costs as much as there are models with waiters, however many models there are. */
export function candidates(parts: Parts): Candidate[] {
  const found: Candidate[] = [];
  for (const record of parts.admission.waitingModels) {
    if (record.switch?.target !== record.spec.id) found.push(candidate(record, parts));
  }
  return found;
}

function candidate(record: ModelRecord, { engines, switches, costs }: Parts): Candidate {
  const { spec, queue } = record;
  assert(queue.oldest !== null, `${spec.id} has no waiter`);
  const victims = mustLeave(spec, engines.devices);
  return {
    model: spec.id,
    devices: spec.devices,
    waiting: queue.length,
    oldestEnqueuedAtMs: queue.oldest.enqueuedAtMs,
    sumEnqueuedAtMs: queue.sumEnqueuedAtMs,
    obstacle: switches.obstacleFor(record),
    victims: victims.map((id) => {
      const { awakeSinceMs, leases } = engines.get(id);
      return { model: id, awakeSinceMs, inFlight: leases.size };
    }),
    switchCostMs: costs.estimateMs(victims, spec.id),
  };
}
