/** From the configuration and the machine to what the scheduler is made with. The product and the simulation both come here. */
import { unreachable } from "./base/assert.ts";
import type { Config, ModelConfig, PolicyConfig } from "./config/config.ts";
import type { PlacementPlan } from "./config/placement-plan.ts";
import type { ModelSpec } from "./core/model.ts";
import { boundedWait } from "./core/policies/bounded-wait.ts";
import { fifo } from "./core/policies/fifo.ts";
import type { SchedulerOptions } from "./core/scheduler.ts";

/** The models as the scheduler knows them, in the order of the configuration. */
export function modelSpecs({ models, policy }: Pick<Config, "models" | "policy">, plan: PlacementPlan): ModelSpec[] {
  const placements = new Map(plan.placements.map((placement) => [placement.model, placement]));
  return models.map((model) => {
    const { devices = [], needBytes = null } = placements.get(model.name) ?? {};
    return modelSpec(model, policy, devices, needBytes);
  });
}

function modelSpec(
  model: ModelConfig,
  policy: PolicyConfig,
  devices: readonly string[],
  needBytes: number | null,
): ModelSpec {
  return {
    id: model.name,
    devices,
    sleepLevel: model.sleepLevel,
    queueMax: model.queueMax,
    priority: model.priority,
    pinned: model.pinned,
    // One that is stopped again at once has not been preloaded.
    preload: model.preload && (model.pinned || model.sleepLevel !== 3),
    canSuspend: model.canSuspend,
    // To ask it again is cheap: nobody has to leave for it.
    ...(model.engine.kind === "external" && model.gpus?.length === 0 ? { retryMaxMs: EXTERNAL_RETRY_MAX_MS } : {}),
    ...(needBytes === null ? {} : { needBytes }),
    ...(model.hostMemoryBytes === null ? {} : { hostBytes: model.hostMemoryBytes }),
    ...inFlightLimit(model, policy),
  };
}

/** Bounded wait weighs what waits, so it must wait here and not inside an engine, also where the file says nothing of it. */
function inFlightLimit(model: ModelConfig, policy: PolicyConfig): Pick<ModelSpec, "inFlightMax"> {
  const byPolicy = policy.policyType === "fifo" ? null : (model.maxNumSeqs ?? IN_FLIGHT_MAX);
  const inFlightMax = model.inFlightMax ?? byPolicy;
  return inFlightMax === null ? {} : { inFlightMax };
}

/** How the scheduler behaves under a policy, on devices of these sizes. */
export function schedulerOptions(policy: PolicyConfig, plan: Pick<PlacementPlan, "devices">): SchedulerOptions {
  const { requestTimeoutMs, drainBeforeSwitch, drainTimeoutMs, drainBudgetMs, queueTotalMax } = policy;
  const common = {
    requestTimeoutMs,
    drainTimeoutMs: drainBeforeSwitch ? drainTimeoutMs : 0,
    drainBudgetMs: drainBeforeSwitch ? drainBudgetMs : null,
    queueMax: queueTotalMax,
    idleSleepMs: policy.idleSleepMs,
    idleStopMs: policy.idleStopMs,
    devices: plan.devices,
  };
  switch (policy.policyType) {
    case "fifo":
      return { ...common, policy: fifo({ minActiveMs: policy.minActiveMs }) };
    case "bounded-wait": {
      const { forcedShare: share } = policy;
      // A wait that the timeout ends has not been kept short by anything.
      const maxWaitMs = Math.min(policy.maxWaitMs, TIMEOUT_SHARE * requestTimeoutMs);
      const targetWaitMs = Math.min(policy.targetWaitMs, TARGET_SHARE * maxWaitMs);
      return {
        ...common,
        policy: boundedWait({ targetWaitMs, maxWaitMs, forcedCreditMaxMs: FORCED_CREDIT_MAX_MS }),
        forcedCredit: { share, capMs: FORCED_CREDIT_MAX_MS },
      };
    }
  }
  return unreachable(policy);
}

/** Whoever has waited for this share of `request_timeout_secs` may wait no longer, whatever `max_wait_secs` says: the rest is for the switch. */
const TIMEOUT_SHARE = 0.8;

/** Where that makes the longest wait shorter, the target is at most this share of it. */
const TARGET_SHARE = 0.75;

/** More credit for forced switches is not saved up, in ms: a quiet hour must not pay for minutes of nothing but switches. */
const FORCED_CREDIT_MAX_MS = 20_000;

/** So long after it has come back, an engine that is not ours is asked for at the latest, in ms. */
const EXTERNAL_RETRY_MAX_MS = 10_000;

/** What engines run at once unless told otherwise, in requests: the figure that bounded wait was measured with. */
const IN_FLIGHT_MAX = 64;
