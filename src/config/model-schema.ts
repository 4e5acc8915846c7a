/** The part of the configuration file that says what a model is and how its engine is run. */

import { z } from "zod";
import { engineSchema } from "./engine-schema.ts";
import {
  duration,
  mapping,
  memorySize,
  port,
  portPhrase,
  requestCount,
  sleepLevel,
  text,
  trueOrFalse,
  word,
} from "./schema-values.ts";

const tokenRatePhrase = "a number of tokens a second, more than 0";
const tokenTimePhrase = "a number of milliseconds, more than 0";

/** `models.*.simulate`: how fast a model's engine is taken to be where no engine runs. */
export const simulateSchema = z
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

/** `models.*`. */
export const modelSchema = z
  .strictObject(
    {
      engine: engineSchema,
      model_path: text("a Hugging Face id or a path, as text")
        .optional()
        .describe("What the engine loads: a Hugging Face id or a local path. Only command and external go without."),
      aliases: z
        .array(text("a further name of the model, as text"), { error: "a list of further names" })
        .prefault([])
        .describe("Further names that clients may use for this model."),
      upstream_model: text("the name by which the engine knows the model, as text")
        .nullable()
        .prefault(null)
        .describe(
          "What the engine calls it: requests reach the engine with this as model. null: with what the client has written.",
        ),
      port: port(portPhrase, 1)
        .optional()
        .describe("The engine's port on loopback; without it a free one is chosen at each start."),
      gpus: z
        .array(z.int({ error: gpuPhrase }).min(0, { error: gpuPhrase }), { error: gpusPhrase })
        .nullable()
        .prefault(null)
        .describe(
          "The GPUs it runs on; null: as many as its parallelism asks for, chosen where there is room; []: none, for engines on the CPU or on another machine. Models on different GPUs do not wait for each other.",
        ),
      gpu_memory: memorySize
        .nullable()
        .prefault(null)
        .describe(
          "What its engine holds of each of its GPUs while it is awake. null: from --gpu-memory-utilization in extra_args, else measured at the first start.",
        ),
      host_memory: memorySize
        .nullable()
        .prefault(null)
        .describe("What it takes of the host's memory while it sleeps at level 1. null: measured at its first sleep."),
      pin: trueOrFalse
        .prefault(false)
        .describe("Keep it awake: it is started with llmux, unless preload is false, and never has to leave."),
      preload: trueOrFalse
        .optional()
        .describe(
          "Start its engine in the background when llmux starts, and put it to sleep. Default: true if it is pinned, else the top level's preload.",
        ),
      priority: z
        .enum(["low", "normal", "high"], { error: "a priority: low, normal or high" })
        .prefault("normal")
        .describe(
          "How much its requests weigh beside those of other models. A low one does not make another model leave early.",
        ),
      suspend: trueOrFalse
        .prefault(false)
        .describe(
          "Its engine can fall asleep while requests run, and go on with them after the wake (sleep with mode=keep).",
        ),
      max_in_flight: requestCount
        .optional()
        .describe(
          "How many requests its engine may work on at a time; further ones wait in llmux. Default: none with fifo; with bounded-wait what its own flags say, or 64.",
        ),
      max_queued: requestCount
        .optional()
        .describe("How many requests may wait for it; further ones get 429. Default: the policy's."),
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
