/**
 * The one definition of the configuration file: keys, types, defaults and descriptions. Types, checks, error messages and the
 * JSON Schema for editors are all made from it. By convention the `error` of every value here is not a sentence but a phrase that
 * says what is expected ("a port between 1 and 65535"); the sentence around it is made in one place, `problemsOf`.
 */

import { isIP } from "node:net";
import { z } from "zod";
import { durationMsMax, formatDuration, parseDuration, secondsToMs } from "../base/duration.ts";
import { parseByteSize } from "./byte-size.ts";

/** The largest port there is. */
export const portMax = 65_535;

const durationPhrase =
  `a duration of at most ${formatDuration(durationMsMax)}: a number of seconds such as 30 or 0.5, ` +
  "or a text such as 500ms, 30s, 5m, 1h30m";

/** A number of seconds or a text with units in the file; whole milliseconds afterwards. */
const duration = z
  .union([z.number().meta({ minimum: 0 }), z.string().meta({ examples: ["500ms", "30s", "5m", "1h30m"] })], {
    error: durationPhrase,
  })
  .transform((value, context) => {
    const ms = typeof value === "number" ? secondsToMs(value) : parseDuration(value);
    if (ms !== undefined) return ms;
    context.addIssue({ code: "custom", message: durationPhrase });
    return z.NEVER;
  });

const sharePhrase = "a share between 0 and 1";
const share = z.number({ error: sharePhrase }).min(0, { error: sharePhrase }).max(1, { error: sharePhrase });

const bytesPhrase = "a size: a number of bytes, at least 1, or a text such as 512KiB, 64MiB, 1GiB";

/** A number of bytes or a text with a unit in the file; whole bytes afterwards. */
const byteSize = z
  .union([z.int().meta({ minimum: 1 }), z.string().meta({ examples: ["512KiB", "64MiB"] })], { error: bytesPhrase })
  .transform((value, context) => {
    const bytes = typeof value === "number" ? value : parseByteSize(value);
    if (bytes !== undefined && bytes >= 1) return bytes;
    context.addIssue({ code: "custom", message: bytesPhrase });
    return z.NEVER;
  });

/** A text that may become an argument, a path or a variable: not empty, and without the NUL that no process can be given. */
function text(phrase: string) {
  return z.string({ error: phrase }).min(1, { error: phrase, abort: true }).refine(hasNoNul, { error: phrase });
}

function hasNoNul(value: string): boolean {
  return !value.includes("\0");
}

function port(phrase: string, min: 0 | 1) {
  return z.int({ error: phrase }).min(min, { error: phrase }).max(portMax, { error: phrase });
}

const portPhrase = `a port between 1 and ${portMax}`;

/** A program, or a list of a program and its leading arguments. A text is one program: it is not split at spaces. */
function command(phrase: string) {
  return z.union([text(phrase), z.array(text(phrase), { error: phrase }).min(1, { error: phrase })], { error: phrase });
}

/** A value that becomes an argument or a variable: what looks like a number or a boolean is taken as it is written. */
function word(phrase: string) {
  return z
    .union([z.string(), z.number(), z.boolean()], { error: phrase })
    .transform(String)
    .refine(hasNoNul, { error: phrase });
}

/** The sleep levels, deepest last. */
const sleepLevel = z.literal([1, 2, 3], {
  error: "1 (weights in host RAM), 2 (weights discarded) or 3 (engine stopped)",
});

const trueOrFalse = z.boolean({ error: "true or false" });

/** A host name (RFC 1123) or an IP address, without brackets, scheme or port. */
function isHost(value: string): boolean {
  if (isIP(value) !== 0) return true;
  const label = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/i;
  const labels = value.split(".");
  // A name whose last part is a number can only be a mistyped IPv4 address.
  return value.length <= 253 && labels.every((part) => label.test(part)) && !/^\d+$/.test(labels.at(-1) ?? "");
}

const hostPhrase = "a host name or an IP address, without scheme or port";
const mapping = "a mapping of keys to values";
const stateDirPhrase = "the path of a folder; ~ alone or before a / is the home directory";

const policySchema = z
  .strictObject(
    {
      policy_type: z
        .enum(["fifo", "bounded-wait"], { error: "a policy: fifo or bounded-wait" })
        .prefault("fifo")
        .describe(
          "When to switch. fifo: at the first request for another model. bounded-wait: when it pays, and before anybody waits too long.",
        ),
      request_timeout_secs: duration.prefault(60).describe("How long a request may wait for its model; then 504."),
      drain_before_switch: trueOrFalse
        .prefault(true)
        .describe("Let running requests end before their model is put to sleep; false aborts them."),
      drain_timeout_secs: duration
        .nullable()
        .prefault(null)
        .describe("How long a drain may take; then what still runs is aborted. null: as long as it takes."),
      min_active_secs: duration
        .prefault(5)
        .describe("fifo: how long a model stays awake at least. It serves new requests meanwhile."),
      target_wait_secs: duration
        .prefault(25)
        .describe("bounded-wait: an older request may force a switch, as far as forced_share allows."),
      max_wait_secs: duration
        .prefault(120)
        .describe("bounded-wait: an older request does force a switch. More than target_wait_secs."),
      forced_share: share
        .prefault(0.1)
        .describe("bounded-wait: the share of all time, 0 to 1, that switches forced by target_wait_secs may spend."),
      sleep_level: sleepLevel
        .prefault(1)
        .describe("For models that name none. 1: weights to host RAM; 2: weights discarded; 3: engine stopped."),
    },
    { error: mapping },
  )
  .describe("When to switch models, and how.");

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

const tokenRatePhrase = "a number of tokens a second, more than 0";
const tokenTimePhrase = "a number of milliseconds, more than 0";

/** How fast a model's engine is taken to be where no engine runs. */
const simulateSchema = z
  .strictObject(
    {
      itl_ms: z
        .number({ error: tokenTimePhrase })
        .positive({ error: tokenTimePhrase })
        .describe("The time between two tokens of an answer that is alone in the engine, in ms."),
      prefill_tokens_per_s: z
        .number({ error: tokenRatePhrase })
        .positive({ error: tokenRatePhrase })
        .describe("How many tokens of a prompt the engine reads in a second."),
      sleep_s: duration
        .prefault(1)
        .describe("How long falling asleep takes at the model's sleep level; at level 3, how long a stop takes."),
      wake_s: duration.prefault(2).describe("How long waking takes from the model's sleep level."),
      cold_s: duration.prefault(60).describe("How long a start takes until the engine is ready."),
    },
    { error: mapping },
  )
  .describe("How fast llmux simulate takes the engine to be; nothing else looks at it.");

const gpuPhrase = "the id of a GPU: 0, 1, 2, …";
const gpusPhrase = "a list of at least one GPU id, such as [0]";

const modelSchema = z
  .strictObject(
    {
      model_path: text("a Hugging Face id or a path, as text").describe(
        "What the engine loads: a Hugging Face id or a local path.",
      ),
      aliases: z
        .array(text("a further name of the model, as text"), { error: "a list of further names" })
        .prefault([])
        .describe("Further names that clients may use for this model."),
      port: port(portPhrase, 1)
        .optional()
        .describe("The engine's port on loopback; without it a free one is chosen at each start."),
      gpus: z
        .array(z.int({ error: gpuPhrase }).min(0, { error: gpuPhrase }), { error: gpusPhrase })
        .min(1, { error: gpusPhrase })
        .nullable()
        .prefault(null)
        .describe("The GPUs it runs on; null: all. Models on different GPUs do not wait for each other."),
      sleep_level: sleepLevel
        .optional()
        .describe(
          "How deep it sleeps. 1: weights to host RAM; 2: weights discarded; 3: stopped. Default: the policy's.",
        ),
      sleep_mode_flag: trueOrFalse
        .prefault(true)
        .describe(
          "Start the engine with --enable-sleep-mode; false where the platform refuses it, as vLLM on a CPU does.",
        ),
      extra_args: z
        .array(word("an argument, as text"), { error: "a list of arguments" })
        .prefault([])
        .describe("Further arguments of the engine, one list item each."),
      env: z
        .record(z.string(), word("a variable's value, as text"), { error: "a mapping of variables to values" })
        .prefault({})
        .describe("Further environment variables of the engine."),
      startup_timeout_secs: duration.prefault(1800).describe("How long a start may take until the engine is ready."),
      simulate: simulateSchema.optional(),
    },
    { error: mapping },
  )
  .describe("One model.");

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
      metrics_port: port(`a port between 1 and ${portMax}, or 0 for no metrics listener`, 0)
        .prefault(9090)
        .describe("The port of the Prometheus metrics; 0: off."),
      vllm_command: command("a program, or a list of a program and its leading arguments")
        .prefault("vllm")
        .describe("The engine's program, or a list: program and leading arguments."),
      nvidia_smi_command: command("a program, or a list of a program and its leading arguments")
        .prefault("nvidia-smi")
        .describe("The program that GPU memory is read with, or a list: program and leading arguments."),
      state_dir: text(stateDirPhrase)
        .refine((path) => !/^~[^/]/.test(path), { error: stateDirPhrase })
        .prefault("~/.local/state/llmux")
        .describe("The folder for the engines' logs and the record of what runs."),
      shutdown_timeout_secs: duration
        .prefault(30)
        .describe("How long streams may still run after SIGTERM before they are ended."),
      max_body_bytes: byteSize.prefault("64MiB").describe("The largest request body that is taken."),
      log_level: z
        .enum(["debug", "info", "warn", "error"], { error: "a log level: debug, info, warn or error" })
        .prefault("info")
        .describe("The least severe event that is logged."),
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
  Record<"top" | "policy" | "engine_timeouts" | "model" | "simulate", readonly string[]>
> = {
  // $schema is for editors: nobody who mistypes a key means it.
  top: Object.keys(fileSchema.shape).filter((key) => key !== "$schema"),
  policy: Object.keys(policySchema.shape),
  engine_timeouts: Object.keys(engineTimeoutsSchema.shape),
  model: Object.keys(modelSchema.shape),
  simulate: Object.keys(simulateSchema.shape),
};

/** The JSON Schema of a configuration file, for editors: every key with its description and its default. */
export function configJsonSchema(): Record<string, unknown> {
  const schema = z.toJSONSchema(fileSchema, { io: "input", target: "draft-2020-12" });
  const { description, ...rest } = schema;
  return { ...rest, title: description };
}
