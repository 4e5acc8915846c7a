/** The configuration as the program sees it: camelCase, durations in ms, every default filled in and every path made absolute. */

import type { EngineSettings } from "../base/engine-settings.ts";
import type { DeviceId, Priority } from "../core/model.ts";
import type { SecurityConfig } from "./security-config.ts";
import type { SleepLevel } from "../core/sleep-level.ts";
import type { Problem } from "./problem.ts";

/** The least severe log event that is written. */
export type LogLevel = "debug" | "info" | "warn" | "error";

/** A checked configuration. */
export interface Config extends SecurityConfig {
  /** Address the gateway listens on. */
  readonly host: string;
  /** Port the gateway listens on, 1–65535. */
  readonly port: number;
  /** How many threads serve clients, 1–64; 1 = the main thread does. */
  readonly workers: number;
  /** Port of the metrics listener; 0 = none. */
  readonly metricsPort: number;
  /** The engine's program, then its leading arguments; never empty. */
  readonly vllmCommand: readonly string[];
  /** The same of SGLang. */
  readonly sglangCommand: readonly string[];
  /** The same of llama-server. */
  readonly llamaServerCommand: readonly string[];
  /** The program that reads GPU memory, then its leading arguments; never empty. */
  readonly nvidiaSmiCommand: readonly string[];
  /** Absolute path of the folder for engine logs and the record of what runs. */
  readonly stateDir: string;
  /** How long streams may still run after SIGTERM. */
  readonly shutdownTimeoutMs: number;
  /** How often a client that waits for a stream is told how far its model has come; null = never. */
  readonly heartbeatMs: number | null;
  /** Largest request body that is taken. */
  readonly maxBodyBytes: number;
  readonly logLevel: LogLevel;
  /** Absolute path of the file that requests are recorded in; null = none. */
  readonly recordTrace: string | null;
  /** The GPUs in ascending order of their ids, at least one; null = those that nvidia-smi shows. */
  readonly gpus: readonly GpuBudget[] | null;
  /** What all models together may take of the host's memory while they sleep at level 1; null = a share of what is free at the start. */
  readonly hostMemoryForSleepBytes: number | null;
  readonly policy: PolicyConfig;
  readonly engineTimeouts: EngineTimeouts;
  /** In the order of the file (names that are whole numbers first); never empty; names and aliases are unique among each other. */
  readonly models: readonly ModelConfig[];
  /** What is allowed but probably not meant, in the order of the file. */
  readonly warnings: readonly Problem[];
}

/** One GPU. */
export interface GpuBudget {
  /** As nvidia-smi counts, written as a whole number: "0". */
  readonly id: DeviceId;
  /** What engines may use of it in all. */
  readonly memoryBytes: number;
}

/** When to switch models. Further policies become further members of this union. */
export type PolicyConfig = FifoPolicyConfig | BoundedWaitPolicyConfig;

/** What every policy needs. */
interface CommonPolicyConfig {
  /** How long a request may wait for its model. */
  readonly requestTimeoutMs: number;
  /** Whether running requests are let to their end before their model is put to sleep. */
  readonly drainBeforeSwitch: boolean;
  /** How long a drain may take before the rest is aborted; null = as long as it takes. Null if there is a drain budget. */
  readonly drainTimeoutMs: number | null;
  /** How long a drain may take before the rest is suspended, or aborted where the engine cannot; null = as long as it takes. */
  readonly drainBudgetMs: number | null;
  /** How many requests may wait for a model that says nothing else; already filled in there. */
  readonly queueMax: number;
  /** How many requests may wait for all models together. */
  readonly queueTotalMax: number;
  /** An awake model that nobody has used for this long is put to sleep; null = never. */
  readonly idleSleepMs: number | null;
  /** The engine of a model that has been asleep for this long is stopped; null = never. */
  readonly idleStopMs: number | null;
  /** For models that name none; already filled in there. */
  readonly sleepLevel: SleepLevel;
}

/** Switch at the first request for another model. */
export interface FifoPolicyConfig extends CommonPolicyConfig {
  readonly policyType: "fifo";
  /** How long a model stays awake at least. */
  readonly minActiveMs: number;
}

/** Stay while it pays, go where most waits for each second that it costs, and let nobody wait past a bound. */
export interface BoundedWaitPolicyConfig extends CommonPolicyConfig {
  readonly policyType: "bounded-wait";
  /** An older request may force a switch while there is credit for it. */
  readonly targetWaitMs: number;
  /** An older request does force one; more than `targetWaitMs`. */
  readonly maxWaitMs: number;
  /** Share of all time that switches forced by `targetWaitMs` may spend, 0 to 1. */
  readonly forcedShare: number;
}

/** How long engines may take for what they are told. */
export interface EngineTimeouts {
  readonly sleepTimeoutMs: number;
  readonly wakeTimeoutMs: number;
  readonly reloadTimeoutMs: number;
  /** From SIGTERM to SIGKILL. */
  readonly stopGraceMs: number;
}

/** One model and how its engine is run. */
export interface ModelConfig {
  /** The public name: what clients write in `model`. */
  readonly name: string;
  /** What the engine loads: a Hugging Face id or a path; empty where the engine knows by itself. */
  readonly modelPath: string;
  readonly engine: EngineSettings;
  /** Further public names. */
  readonly aliases: readonly string[];
  /** What the engine is told in the place of what the client has written as `model`; null = just that. */
  readonly upstreamModel: string | null;
  /** The engine's loopback port; null = a free one is chosen at each start. */
  readonly port: number | null;
  /** Ids of the GPUs it runs on, in the order of the file; null = chosen when the GPUs are known (`planPlacement`); empty = none. */
  readonly gpus: readonly number[] | null;
  readonly sleepLevel: SleepLevel;
  /** Whether the engine is started with `--enable-sleep-mode`. */
  readonly sleepModeFlag: boolean;
  /** Arguments added to the engine's command line. */
  readonly extraArgs: readonly string[];
  /** How many requests the engine may be given at a time, as the file says; null if it does not. */
  readonly inFlightMax: number | null;
  /** How many requests the engine runs at once, as `extraArgs` say; null if they do not. */
  readonly maxNumSeqs: number | null;
  /** The share of each of its GPUs that the engine is told to take, as `extraArgs` say, above 0 up to 1; null if they do not. */
  readonly gpuMemoryUtilization: number | null;
  /** How many GPUs the engine takes at once, as `extraArgs` say; 1 if they do not. */
  readonly parallelSize: number;
  /** What the engine holds of each of its GPUs while it is awake, as the file says; null if it does not. */
  readonly gpuMemoryBytes: number | null;
  /** What it takes of the host's memory while it sleeps at level 1, as the file says; null if it does not. */
  readonly hostMemoryBytes: number | null;
  /** Once awake it is never made to leave. */
  readonly pinned: boolean;
  /** Its engine is started before anybody asks for it. */
  readonly preload: boolean;
  readonly priority: Priority;
  /** Its engine can fall asleep while requests run on it, and go on with them when it wakes. */
  readonly canSuspend: boolean;
  /** How many requests may wait for it. */
  readonly queueMax: number;
  /** Variables added to the engine's environment. */
  readonly env: Readonly<Record<string, string>>;
  /** How long a start may take until the engine is ready. */
  readonly startupTimeoutMs: number;
  /** How fast simulations take the engine to be; null = not said. */
  readonly simulate: EngineSpeed | null;
}

/** What a simulation needs to know of an engine. */
export interface EngineSpeed {
  /** Between two tokens of an answer that is alone in the engine, > 0. */
  readonly itlMs: number;
  /** Tokens of a prompt that are read in a second, > 0. */
  readonly prefillTokensPerSecond: number;
  /** Falling asleep at the model's level, or being stopped. */
  readonly sleepMs: number;
  /** Waking from the model's level. */
  readonly wakeMs: number;
  /** A start, from no process to ready. */
  readonly coldMs: number;
}
