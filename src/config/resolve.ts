/** From a complete file to the configuration that the program is handed: camelCase, fallbacks followed, paths made absolute. */

import { homedir } from "node:os";
import { resolve } from "node:path";
import type { Config, EngineSpeed, GpuBudget, ModelConfig, PolicyConfig } from "./config.ts";
import { gpuMemoryUtilizationIn, gpusAtOnceIn, requestsAtOnceIn } from "./engine-flags.ts";
import type { Environment } from "./environment.ts";
import { onlySleepLevel, resolveEngine } from "./resolve-engine.ts";
import type { ConfigFile } from "./schema.ts";
import { resolveSecurity } from "./security-config.ts";
import { gpusInVariables } from "./visible-devices.ts";

/** Makes the program's configuration from a checked file, without warnings. `env` tells the home directory (`HOME`). */
export function resolveConfig(file: ConfigFile, env: Environment): Config {
  const policy = resolvePolicy(file.policy);
  return {
    host: file.host,
    port: file.port,
    workers: file.workers,
    metricsPort: file.metrics_port,
    ...resolveSecurity(file),
    vllmCommand: listOf(file.vllm_command),
    sglangCommand: listOf(file.sglang_command),
    llamaServerCommand: listOf(file.llama_server_command),
    nvidiaSmiCommand: listOf(file.nvidia_smi_command),
    stateDir: absolutePath(file.state_dir, env),
    shutdownTimeoutMs: file.shutdown_timeout_secs,
    heartbeatMs: file.heartbeat_secs,
    maxBodyBytes: file.max_body_bytes,
    logLevel: file.log_level,
    recordTrace: file.record_trace === null ? null : absolutePath(file.record_trace, env),
    gpus: file.gpus === null ? null : resolveGpus(file.gpus),
    hostMemoryForSleepBytes: file.host_memory_for_sleep,
    policy,
    engineTimeouts: {
      sleepTimeoutMs: file.engine_timeouts.sleep_timeout_secs,
      wakeTimeoutMs: file.engine_timeouts.wake_timeout_secs,
      reloadTimeoutMs: file.engine_timeouts.reload_timeout_secs,
      stopGraceMs: file.engine_timeouts.stop_grace_secs,
    },
    models: Object.entries(file.models).map(([name, model]) => resolveModel(name, model, policy, file.preload)),
    warnings: [],
  };
}

function resolvePolicy(file: ConfigFile["policy"]): PolicyConfig {
  const common = {
    requestTimeoutMs: file.request_timeout_secs,
    drainBeforeSwitch: file.drain_before_switch,
    drainTimeoutMs: file.drain_timeout_secs,
    drainBudgetMs: file.drain_budget_secs,
    queueMax: file.max_queued,
    queueTotalMax: file.max_queued_total,
    idleSleepMs: file.idle_sleep_secs,
    idleStopMs: file.idle_stop_secs,
    sleepLevel: file.sleep_level,
  };
  if (file.policy_type === "fifo") return { policyType: "fifo", ...common, minActiveMs: file.min_active_secs };
  return {
    policyType: file.policy_type,
    ...common,
    targetWaitMs: file.target_wait_secs,
    maxWaitMs: file.max_wait_secs,
    forcedShare: file.forced_share,
  };
}

/** In ascending order, whatever the order of the file is. */
function resolveGpus(gpus: NonNullable<ConfigFile["gpus"]>): readonly GpuBudget[] {
  return Object.entries(gpus)
    .map(([id, memoryBytes]) => ({ id, memoryBytes }))
    .toSorted((a, b) => Number(a.id) - Number(b.id));
}

function resolveModel(
  name: string,
  model: ConfigFile["models"][string],
  policy: PolicyConfig,
  preload: boolean,
): ModelConfig {
  const engine = resolveEngine(model.engine);
  const gpus = model.gpus ?? gpusInVariables(model.env) ?? (engine.kind === "external" ? [] : null);
  const level = model.sleep_level ?? policy.sleepLevel;
  return {
    name,
    modelPath: model.model_path ?? "",
    engine,
    aliases: model.aliases,
    upstreamModel: model.upstream_model,
    port: model.port ?? null,
    gpus,
    sleepLevel: onlySleepLevel(engine, model.sleep_mode_flag) ?? (engine.kind === "sglang" && level === 2 ? 1 : level),
    sleepModeFlag: model.sleep_mode_flag,
    extraArgs: model.extra_args,
    inFlightMax: model.max_in_flight ?? null,
    maxNumSeqs: requestsAtOnceIn(engine.kind, model.extra_args),
    gpuMemoryUtilization: engine.kind === "vllm" ? gpuMemoryUtilizationIn(model.extra_args) : null,
    parallelSize: gpusAtOnceIn(engine.kind, model.extra_args) ?? Math.max(1, gpus?.length ?? 1),
    gpuMemoryBytes: model.gpu_memory,
    hostMemoryBytes: model.host_memory,
    pinned: model.pin,
    preload: model.preload ?? (model.pin || preload),
    priority: model.priority,
    canSuspend: model.suspend,
    queueMax: model.max_queued ?? policy.queueMax,
    env: model.env,
    startupTimeoutMs: model.startup_timeout_secs,
    simulate: model.simulate === undefined ? null : resolveSpeed(model.simulate),
  };
}

function resolveSpeed(speed: NonNullable<ConfigFile["models"][string]["simulate"]>): EngineSpeed {
  return {
    itlMs: speed.itl_ms,
    prefillTokensPerSecond: speed.prefill_tokens_per_s,
    sleepMs: speed.sleep_s,
    wakeMs: speed.wake_s,
    coldMs: speed.cold_s,
  };
}

function listOf(command: string | readonly string[]): readonly string[] {
  return typeof command === "string" ? [command] : command;
}

function absolutePath(path: string, env: Environment): string {
  const home = env["HOME"] ?? "";
  return resolve(path.replace(/^~(?=\/|$)/, () => (home === "" ? homedir() : home)));
}
