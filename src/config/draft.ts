/**
 * A configuration of which only some parts may be right: what the checks across keys look at, so that they speak up even where the
 * schema has found something else wrong. Whatever has the wrong type is simply absent here.
 */

import type { KeyPath } from "./document.ts";

/** The parts of a file that have the type they should. */
export interface Draft {
  /** Texts and numbers of the top level. */
  readonly host: string | undefined;
  readonly port: number | undefined;
  readonly metricsPort: number | undefined;
  readonly metricsHost: string | undefined;
  /** Empty if `api_keys` is absent or no list. */
  readonly apiKeys: readonly unknown[];
  readonly hasAdminKey: boolean;
  readonly hasTls: boolean;
  /** Undefined if `gpus` is absent or no mapping. */
  readonly gpus: Readonly<Record<string, unknown>> | undefined;
  /** Undefined if `policy` is absent or no mapping. */
  readonly policy: Readonly<Record<string, unknown>> | undefined;
  /** Undefined if `models` is absent or no mapping. */
  readonly models: readonly DraftModel[] | undefined;
}

/** The parts of one model that have the type they should. */
export interface DraftModel {
  readonly name: string;
  readonly path: KeyPath;
  readonly port: number | undefined;
  /** Entries that are no text are undefined, so that indexes stay those of the file. */
  readonly aliases: readonly (string | undefined)[];
  readonly upstreamModel: string | undefined;
  readonly extraArgs: readonly (string | undefined)[];
  readonly gpus: readonly unknown[];
  readonly env: Readonly<Record<string, unknown>>;
  /** As it stands in the file. */
  readonly engine: unknown;
  readonly hasModelPath: boolean;
  /** Whether it says that it runs on none, with an empty list. */
  readonly hasNoGpus: boolean;
  readonly sleepLevel: number | undefined;
  readonly suspend: boolean | undefined;
  readonly sleepModeFlag: boolean | undefined;
  readonly gpuMemory: string | undefined;
}

/** Reads what can be read of a plain value. */
export function draftOf(value: unknown): Draft {
  const file = mappingOf(value) ?? {};
  const models = mappingOf(file["models"]);
  return {
    host: textOf(file["host"]),
    port: numberOf(file["port"]),
    metricsPort: numberOf(file["metrics_port"]),
    metricsHost: textOf(file["metrics_host"]),
    apiKeys: listOf(file["api_keys"]),
    hasAdminKey: (file["admin_key"] ?? null) !== null,
    hasTls: (file["tls"] ?? null) !== null,
    gpus: mappingOf(file["gpus"]),
    policy: mappingOf(file["policy"]),
    models: models && Object.entries(models).map(([name, model]) => draftModelOf(name, model)),
  };
}

/** The value as a mapping, or undefined if it is none. */
export function mappingOf(value: unknown): Readonly<Record<string, unknown>> | undefined {
  const isMapping = typeof value === "object" && value !== null && !Array.isArray(value);
  return isMapping ? (value as Readonly<Record<string, unknown>>) : undefined;
}

function draftModelOf(name: string, value: unknown): DraftModel {
  const model = mappingOf(value) ?? {};
  return {
    name,
    path: ["models", name],
    port: numberOf(model["port"]),
    aliases: listOf(model["aliases"]).map(textOf),
    upstreamModel: textOf(model["upstream_model"]),
    extraArgs: listOf(model["extra_args"]).map(textOf),
    gpus: listOf(model["gpus"]),
    env: mappingOf(model["env"]) ?? {},
    engine: model["engine"] ?? "vllm",
    hasModelPath: mappingOf(value) === undefined || (model["model_path"] ?? null) !== null,
    hasNoGpus: Array.isArray(model["gpus"]) && model["gpus"].length === 0,
    sleepLevel: numberOf(model["sleep_level"]),
    suspend: booleanOf(model["suspend"]),
    sleepModeFlag: booleanOf(model["sleep_mode_flag"]),
    gpuMemory: textOf(model["gpu_memory"]),
  };
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

function textOf(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}

function booleanOf(value: unknown): boolean | undefined {
  return typeof value === "boolean" ? value : undefined;
}

function numberOf(value: unknown): number | undefined {
  return typeof value === "number" ? value : undefined;
}
