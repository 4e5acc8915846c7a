/** From a complete file to the configuration that the program is handed: camelCase, fallbacks followed, paths made absolute. */

import { homedir } from "node:os";
import { resolve } from "node:path";
import type { Config, EngineSpeed, ModelConfig, PolicyConfig } from "./config.ts";
import { maxNumSeqsIn } from "./engine-arguments.ts";
import type { Environment } from "./environment.ts";
import type { Problem } from "./problem.ts";
import type { ConfigFile } from "./schema.ts";

/** Makes the program's configuration from a checked file. `env` tells the home directory (`HOME`). */
export function resolveConfig(file: ConfigFile, env: Environment, warnings: readonly Problem[]): Config {
  const policy = resolvePolicy(file.policy);
  return {
    host: file.host,
    port: file.port,
    metricsPort: file.metrics_port,
    vllmCommand: listOf(file.vllm_command),
    nvidiaSmiCommand: listOf(file.nvidia_smi_command),
    stateDir: absolutePath(file.state_dir, env),
    shutdownTimeoutMs: file.shutdown_timeout_secs,
    maxBodyBytes: file.max_body_bytes,
    logLevel: file.log_level,
    policy,
    engineTimeouts: {
      sleepTimeoutMs: file.engine_timeouts.sleep_timeout_secs,
      wakeTimeoutMs: file.engine_timeouts.wake_timeout_secs,
      reloadTimeoutMs: file.engine_timeouts.reload_timeout_secs,
      stopGraceMs: file.engine_timeouts.stop_grace_secs,
    },
    models: Object.entries(file.models).map(([name, model]) => resolveModel(name, model, policy)),
    warnings,
  };
}

function resolvePolicy(file: ConfigFile["policy"]): PolicyConfig {
  const common = {
    requestTimeoutMs: file.request_timeout_secs,
    drainBeforeSwitch: file.drain_before_switch,
    drainTimeoutMs: file.drain_timeout_secs,
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

function resolveModel(name: string, model: ConfigFile["models"][string], policy: PolicyConfig): ModelConfig {
  return {
    name,
    modelPath: model.model_path,
    aliases: model.aliases,
    port: model.port ?? null,
    gpus: model.gpus,
    sleepLevel: model.sleep_level ?? policy.sleepLevel,
    sleepModeFlag: model.sleep_mode_flag,
    extraArgs: model.extra_args,
    maxNumSeqs: maxNumSeqsIn(model.extra_args),
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
