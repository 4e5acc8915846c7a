/** What llmux finds out about the machine before it begins: its GPUs and their memory, and what the host has to spare. */
import { planPlacement, type PlacementPlan } from "./config/placement-plan.ts";
import type { Config, GpuBudget } from "./config/config.ts";
import { findingText } from "./config/finding.ts";
import type { GpuMemory } from "./ports/gpu-probe.ts";
import type { Log } from "./ports/log.ts";
import type { Platform } from "./platform/platform.ts";

/** The machine, as far as scheduling depends on it. */
export interface Machine {
  readonly plan: PlacementPlan;
  /** What sleepers at level 1 may take of the host in all, in bytes; null: not limited. */
  readonly hostMemoryBytes: number | null;
}

/** That share of the host's memory that is free at the start may be taken by sleepers, where the configuration says nothing. */
const HOST_SHARE = 0.8;

/** Without a look at the machine: only what the configuration says. */
export function configuredMachine({ models, gpus, hostMemoryForSleepBytes }: Config): Machine {
  return { plan: planPlacement(models, gpus), hostMemoryBytes: hostMemoryForSleepBytes };
}

/**
 * Looks for what the configuration leaves open. Rejects with a sentence for each thing that cannot work on this machine, such as a
 * model that is larger than its GPU.
 */
export async function lookAtMachine(config: Config, platform: Platform, log: Log): Promise<Machine> {
  const probe = platform.createGpuProbe(platform.resolveCommand(config.nvidiaSmiCommand));
  const gpus = config.gpus ?? budgetsOf(await probe.gpus());
  const freeBytes = platform.freeMemoryBytes();
  const plan = planPlacement(config.models, gpus);
  const errors = plan.findings.filter(({ severity }) => severity === "error");
  if (errors.length > 0) throw new Error(errors.map(findingText).join("\n"));
  // Where the sizes stand in the file, it has been said already.
  const warnings = config.gpus === null ? plan.findings : [];
  for (const finding of warnings) log.warn("configuration", { problem: findingText(finding) });
  const hostMemoryBytes =
    config.hostMemoryForSleepBytes ?? (freeBytes === null ? null : Math.floor(HOST_SHARE * freeBytes));
  log.debug("machine", {
    gpus: plan.devices.map(({ id, memoryBytes }) => ({ id, memory_bytes: memoryBytes })),
    models: plan.placements.map(({ model, devices, needBytes }) => ({ model, gpus: devices, need_bytes: needBytes })),
    host_memory_for_sleep_bytes: hostMemoryBytes,
  });
  return { plan, hostMemoryBytes };
}

function budgetsOf(gpus: readonly GpuMemory[] | null): readonly GpuBudget[] | null {
  if (gpus === null || gpus.length === 0) return null;
  return gpus.map(({ index, totalBytes }) => ({ id: index, memoryBytes: totalBytes }));
}
