/**
 * The one definition of the configuration file: keys, types, defaults and descriptions. Types, checks, error messages and the
 * JSON Schema for editors are all made from it.
 */

import { isIP } from "node:net";
import { z } from "zod";
import { commandEngineSchema, engineMappingSchema, externalEngineSchema } from "./engine-schema.ts";
import { modelSchema, simulateSchema } from "./model-schema.ts";
import { policySchema } from "./policy-schema.ts";
import {
  adminKeySchema,
  apiKeySchema,
  apiKeysSchema,
  limitsSchema,
  tlsFilesSchema,
  tlsSchema,
  limitedTime,
} from "./security-schema.ts";
import {
  byteSize,
  command,
  duration,
  gpuIdPattern,
  mapping,
  memorySize,
  port,
  portMax,
  portPhrase,
  text,
  trueOrFalse,
} from "./schema-values.ts";

/** A host name (RFC 1123) or an IP address, without brackets, scheme or port. */
function isHost(value: string): boolean {
  if (isIP(value) !== 0) return true;
  const label = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/i;
  const labels = value.split(".");
  // A name whose last part is a number can only be a mistyped IPv4 address.
  return value.length <= 253 && labels.every((part) => label.test(part)) && !/^\d+$/.test(labels.at(-1) ?? "");
}

const hostPhrase = "a host name or an IP address, without scheme or port";
const workersPhrase = "a whole number between 1 and 64";
const stateDirPhrase = "the path of a folder; ~ alone or before a / is the home directory";
const traceFilePhrase = "the path of a file; ~ before a / is the home directory";
const gpuSizesPhrase = "a mapping of GPU ids to sizes, such as {0: 80GiB, 1: 80GiB}";

/** Whether nothing stands for somebody else's home directory, which we do not look up. */
function isOwnPath(path: string): boolean {
  return !/^~[^/]/.test(path);
}

const engineTimeoutsSchema = z
  .strictObject(
    {
      sleep_timeout_secs: duration
        .prefault(120)
        .describe("How long falling asleep may take; then the engine is stopped, so that its memory is surely free."),
      wake_timeout_secs: duration
        .prefault(30)
        .describe("How long waking may take; then the engine is stopped and started anew."),
      reload_timeout_secs: duration.prefault(60).describe("How long loading the weights again after level 2 may take."),
      stop_grace_secs: duration
        .prefault(10)
        .describe("How long an engine may take to end after SIGTERM; then SIGKILL for its whole process group."),
    },
    { error: mapping },
  )
  .describe("How long engines may take for what they are told.");

/** A configuration file, snake_case in; defaults filled in, durations in ms and sizes in bytes out. */
export const fileSchema = z
  .strictObject(
    {
      $schema: z
        .string({ error: "the address of the JSON Schema, as text" })
        .optional()
        .describe("Where an editor finds the JSON Schema of this file. llmux does not look at it."),
      host: z
        .string({ error: hostPhrase })
        .refine(isHost, { error: hostPhrase })
        .prefault("127.0.0.1")
        .describe("The address the gateway listens on: loopback unless told otherwise."),
      port: port(portPhrase, 1).prefault(3000).describe("The port the gateway listens on."),
      workers: z
        .int({ error: workersPhrase })
        .min(1, { error: workersPhrase })
        .max(64, { error: workersPhrase })
        .prefault(1)
        .describe("How many threads serve clients; one scheduler decides for all of them. More than 1: Linux only."),
      metrics_port: port(`a port between 1 and ${portMax}, or 0 for no metrics listener`, 0)
        .prefault(9090)
        .describe("The port of the Prometheus metrics; 0: off."),
      metrics_host: z
        .string({ error: hostPhrase })
        .refine(isHost, { error: hostPhrase })
        .nullable()
        .prefault(null)
        .describe("The address of the Prometheus metrics; null: that of the gateway."),
      api_keys: apiKeysSchema,
      admin_key: adminKeySchema,
      tls: tlsSchema,
      limits: limitsSchema,
      vllm_command: command("a program, or a list of a program and its leading arguments")
        .prefault("vllm")
        .describe("The engine's program, or a list: program and leading arguments."),
      sglang_command: command("a program, or a list of a program and its leading arguments")
        .prefault(["python", "-m", "sglang.launch_server"])
        .describe("The program of models with engine: sglang, or a list: program and leading arguments."),
      llama_server_command: command("a program, or a list of a program and its leading arguments")
        .prefault("llama-server")
        .describe("The program of models with engine: llama-server, or a list: program and leading arguments."),
      nvidia_smi_command: command("a program, or a list of a program and its leading arguments")
        .prefault("nvidia-smi")
        .describe("The program that GPU memory is read with, or a list: program and leading arguments."),
      state_dir: text(stateDirPhrase)
        .refine(isOwnPath, { error: stateDirPhrase })
        .prefault("~/.local/state/llmux")
        .describe("The folder for the engines' logs and the record of what runs."),
      shutdown_timeout_secs: duration
        .prefault(30)
        .describe("How long streams may still run after SIGTERM before they are ended."),
      heartbeat_secs: limitedTime
        .nullable()
        .prefault(15)
        .describe("How often a client that waits for a stream is told how far its model has come; null: never."),
      max_body_bytes: byteSize.prefault("64MiB").describe("The largest request body that is taken."),
      log_level: z
        .enum(["debug", "info", "warn", "error"], { error: "a log level: debug, info, warn or error" })
        .prefault("info")
        .describe("The least severe event that is logged."),
      record_trace: text(traceFilePhrase)
        .refine(isOwnPath, { error: traceFilePhrase })
        .nullable()
        .prefault(null)
        .describe(
          "The file that requests are recorded in for llmux simulate: times, models and token counts, nothing of the content. null: none.",
        ),
      gpus: z
        .record(z.string(), memorySize, { error: gpuSizesPhrase })
        .meta({ propertyNames: { pattern: gpuIdPattern } })
        .nullable()
        .prefault(null)
        .describe(
          "The GPUs, by the id that nvidia-smi gives them, and how much memory engines may use of each. null: all that nvidia-smi shows.",
        ),
      host_memory_for_sleep: memorySize
        .nullable()
        .prefault(null)
        .describe(
          "How much of the host's memory models may use together while they sleep at level 1; further ones sleep deeper. null: 80 % of what is free at the start.",
        ),
      preload: trueOrFalse
        .prefault(false)
        .describe(
          "Start all engines in the background when llmux starts, one after another, and put them to sleep: a first request then pays a wake and not a start.",
        ),
      policy: policySchema.prefault({}),
      engine_timeouts: engineTimeoutsSchema.prefault({}),
      models: z
        .record(z.string(), modelSchema, { error: "a mapping of model names to models" })
        .describe("The models, by the name that clients write in `model`."),
    },
    { error: mapping },
  )
  .describe("Configuration of llmux");

/** A configuration file after the schema: still in snake_case, but complete. */
export type ConfigFile = z.output<typeof fileSchema>;

/** The keys that a mapping of the file may have; `model` stands for every `models.<name>`, `simulate` for what is below. */
export const knownKeys: Readonly<
  Record<
    | "top"
    | "api_key"
    | "tls"
    | "limits"
    | "policy"
    | "engine_timeouts"
    | "model"
    | "simulate"
    | "engine"
    | "engine_command"
    | "engine_external",
    readonly string[]
  >
> = {
  // $schema is for editors: nobody who mistypes a key means it.
  top: Object.keys(fileSchema.shape).filter((key) => key !== "$schema"),
  api_key: Object.keys(apiKeySchema.shape),
  tls: Object.keys(tlsFilesSchema.shape),
  limits: Object.keys(limitsSchema.unwrap().shape),
  policy: Object.keys(policySchema.shape),
  engine_timeouts: Object.keys(engineTimeoutsSchema.shape),
  model: Object.keys(modelSchema.shape),
  simulate: Object.keys(simulateSchema.shape),
  engine: Object.keys(engineMappingSchema.shape),
  engine_command: Object.keys(commandEngineSchema.shape),
  engine_external: Object.keys(externalEngineSchema.shape),
};

/** The JSON Schema of a configuration file, for editors: every key with its description and its default. */
export function configJsonSchema(): Record<string, unknown> {
  const schema = z.toJSONSchema(fileSchema, { io: "input", target: "draft-2020-12" });
  const { description, ...rest } = schema;
  return { ...rest, title: description };
}
