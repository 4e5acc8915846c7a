/** What the policy gets to see: the models that are not awake and for which somebody waits, and who would have to leave for them. */
import { assert } from "../base/assert.ts";
import type { Admission } from "./admission.ts";
import type { Engines, ModelRecord } from "./engines.ts";
import type { ForcedCredit } from "./forced-credit.ts";
import { mustLeave } from "./placement.ts";
import type { Candidate } from "./policy.ts";
import type { SwitchCosts } from "./switch-cost.ts";
import type { Switches } from "./switches.ts";
import type { Visits } from "./visits.ts";

interface Parts {
  readonly engines: Engines;
  readonly admission: Admission;
  readonly switches: Switches;
  readonly costs: SwitchCosts;
  readonly visits: Visits;
  readonly forcedCredit: ForcedCredit | null;
}

/** All candidates of this moment. Costs as much as there are models with waiters, however many models there are. */
export function candidates(parts: Parts, nowMs: number): Candidate[] {
  const found: Candidate[] = [];
  for (const record of parts.admission.waitingModels) {
    if (record.state.kind === "awake" || record.switch?.target === record.spec.id) continue;
    found.push(candidate(record, parts, nowMs));
  }
  return found;
}

function candidate(record: ModelRecord, parts: Parts, nowMs: number): Candidate {
  const { engines, switches, costs, visits, forcedCredit } = parts;
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
      const { awakeSinceMs, leases, queue: own } = engines.get(id);
      return { model: id, awakeSinceMs, inFlight: leases.size, waiting: own.length };
    }),
    switchCostMs: costs.estimateMs(victims, spec.id),
    switchBackCostMs: Math.max(0, ...victims.map((id) => costs.estimateMs([spec.id], id))),
    visitMs: visits.estimateMs(spec.id),
    forcedCreditMs: forcedCredit?.available(spec.devices, nowMs) ?? 0,
  };
}
