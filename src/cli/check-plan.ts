/** What a configuration comes to before anything runs: where its models will be, and how long anybody waits at most. */
import { formatByteSize } from "../config/byte-size.ts";
import type { Config, ModelConfig } from "../config/config.ts";
import { crowdedDevices, isGpuless, type PlacementPlan } from "../config/placement-plan.ts";
import { duration } from "../control/duration-text.ts";
import { waitPromise } from "../control/wait-promise.ts";
import type { Effects } from "../core/effects.ts";
import type { ModelSpec } from "../core/model.ts";
import { Scheduler } from "../core/scheduler.ts";
import { modelSpecs, schedulerOptions } from "../scheduling.ts";

/** The policy, and what it promises. */
export function policyText(config: Config, plan: PlacementPlan): string {
  const { policy, noBoundBecause, requestTimeoutMs } = waitPromise(config.policy);
  if (crowdedDevices(plan).size === 0)
    return `switches by ${policy}, but never has to: no model must leave for another`;
  const timeout = `a request that has waited ${duration(requestTimeoutMs)} gets 504`;
  const bound = boundMs(config, plan);
  if (bound === null) return `switches by ${policy}: no bound on waiting, since ${noBoundBecause}; ${timeout}`;
  const guess = "once all engines have been started, and going by what switches cost before they are measured";
  if (bound <= requestTimeoutMs) return `switches by ${policy}: nobody waits longer than ${duration(bound)}, ${guess}`;
  return `switches by ${policy}: ${timeout}; without that nobody would wait longer than ${duration(bound)}, ${guess}`;
}

/** The largest bound of all models, with nobody waiting and all engines asleep; null if some model has none. */
function boundMs(config: Config, plan: PlacementPlan): number | null {
  const models = modelSpecs(config, plan).map((spec): ModelSpec => {
    return spec.sleepLevel === 3 ? spec : Object.assign(spec, { beginsAsleepAt: spec.sleepLevel });
  });
  const scheduler = new Scheduler(models, schedulerOptions(config.policy, plan), NOTHING, 0);
  const bounds = models.map(({ id }) => scheduler.boundMs(id));
  return bounds.includes(null) ? null : Math.max(...bounds.map((bound) => bound ?? 0));
}

const NOTHING: Effects = {
  start() {},
  wake() {},
  sleep() {},
  stop() {},
  grant() {},
  refuse() {},
  revoke() {},
  alarmAt() {},
  record() {},
  finished() {},
};

/** A line for each GPU: who is on it, and whether they fit on it together. Nothing is known where the configuration has no sizes. */
export function gpuTexts({ gpus }: Config, plan: PlacementPlan): readonly string[] {
  if (gpus === null) return ["GPUs and their memory are looked up when it starts (gpus)"];
  const crowded = crowdedDevices(plan);
  const onGpus = plan.devices.filter(({ id }) => !isGpuless(id));
  return onGpus.map(({ id, memoryBytes }) => {
    const there = plan.placements.filter(({ devices }) => devices.includes(id)).map(({ model }) => model);
    const size = memoryBytes === null ? "" : ` (${formatByteSize(memoryBytes)})`;
    const turns = crowded.has(id) ? "; they take turns" : there.length > 1 ? "; all awake at once" : "";
    return `GPU ${id}${size}: ${there.length === 0 ? "no model" : there.join(", ")}${turns}`;
  });
}

/** The GPUs of a model: those that it names, or those that are chosen for it, where that can be told already. */
export function gpuCell(model: ModelConfig, { gpus }: Config, plan: PlacementPlan): string {
  if (model.gpus !== null) return model.gpus.length === 0 ? "none" : model.gpus.join(",");
  if (gpus === null) return "auto";
  const devices = plan.placements.find((placement) => placement.model === model.name)?.devices ?? [];
  return `${devices.join(",")} (auto)`;
}

/** What a model needs of each of its GPUs: a size, a share of a GPU whose size is not known yet, or "?". */
export function needCell({ name, gpuMemoryUtilization }: ModelConfig, plan: PlacementPlan): string {
  const needBytes = plan.placements.find(({ model }) => model === name)?.needBytes ?? null;
  if (needBytes !== null) return formatByteSize(needBytes);
  return gpuMemoryUtilization === null ? "?" : `${Math.round(gpuMemoryUtilization * 100)} %`;
}
