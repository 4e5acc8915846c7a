/** The configuration that a scenario's llmux runs with: one that was read from a text, with what the scenario says put in. */
import type { Config, ModelConfig, PolicyConfig } from "../../src/config/config.ts";
import { parseConfig } from "../../src/config/load.ts";
import { apiKeysOf } from "./key-rules.ts";
import { gpuSizes } from "./engines.ts";
import type { AppScenario } from "./scenario.ts";

/** Where the simulated llmux listens. */
export const GATEWAY_ADDRESS = "127.0.0.1:8000";
export const METRICS_ADDRESS = "127.0.0.1:9090";

const BASES: Readonly<Record<"fifo" | "bounded-wait", Config>> = {
  fifo: read("fifo"),
  "bounded-wait": read("bounded-wait"),
};

function read(policy: string): Config {
  const text = `policy:\n  policy_type: ${policy}\nmodels:\n  base:\n    model_path: org/base\n`;
  return parseConfig(text, "scenario.yaml", {});
}

/** The whole configuration, with `stateDir` for its folder. */
export function configOf(scenario: AppScenario, stateDir: string): Config {
  const { settings, models } = scenario;
  const base = BASES[settings.policyType];
  const [baseModel] = base.models;
  if (baseModel === undefined) throw new Error("the base of all configurations has no model");
  const { sleepTimeoutMs, wakeTimeoutMs, reloadTimeoutMs, stopGraceMs } = settings;
  return {
    ...base,
    host: "127.0.0.1",
    port: 8000,
    metricsPort: 9090,
    stateDir,
    gpus: settings.tellsGpus ? Array.from(gpuSizes(scenario), ([id, memoryBytes]) => ({ id, memoryBytes })) : null,
    hostMemoryForSleepBytes: settings.hostMemoryBytes,
    shutdownTimeoutMs: settings.shutdownTimeoutMs,
    heartbeatMs: settings.heartbeatMs,
    apiKeys: apiKeysOf(settings.keys),
    policy: policyOf(base.policy, settings),
    engineTimeouts: { ...base.engineTimeouts, sleepTimeoutMs, wakeTimeoutMs, reloadTimeoutMs, stopGraceMs },
    models: models.map((model) => modelConfigOf(model, baseModel, settings)),
  };
}

function modelConfigOf(
  { name, gpus, port, sleepLevel, maxNumSeqs, canSuspend, priority, ...model }: AppScenario["models"][number],
  base: ModelConfig,
  settings: AppScenario["settings"],
): ModelConfig {
  return {
    ...base,
    name,
    modelPath: `org/${name}`,
    gpus,
    port,
    sleepLevel,
    inFlightMax: null,
    maxNumSeqs,
    canSuspend,
    priority,
    pinned: model.isPinned,
    preload: model.isPreloaded,
    gpuMemoryBytes: model.tellsNeed ? model.awakeBytes : null,
    hostMemoryBytes: model.tellsNeed ? model.hostBytes : null,
    queueMax: settings.queueMax,
    startupTimeoutMs: settings.startupTimeoutMs,
  };
}

function policyOf(base: PolicyConfig, settings: AppScenario["settings"]): PolicyConfig {
  const { requestTimeoutMs, drainBeforeSwitch, drainBudgetMs, minActiveMs } = settings;
  const { queueMax, queueTotalMax, idleSleepMs, idleStopMs } = settings;
  // There is one or the other.
  const drainTimeoutMs = drainBudgetMs === null ? settings.drainTimeoutMs : null;
  const drains = { drainBeforeSwitch, drainTimeoutMs, drainBudgetMs };
  const common = { requestTimeoutMs, ...drains, queueMax, queueTotalMax, idleSleepMs, idleStopMs };
  return base.policyType === "fifo" ? { ...base, ...common, minActiveMs } : { ...base, ...common };
}
