/** The part of the configuration file that says when to switch models, and how. */

import { z } from "zod";
import { duration, mapping, requestCount, share, sleepLevel, trueOrFalse } from "./schema-values.ts";

/** `policy`. */
export const policySchema = z
  .strictObject(
    {
      policy_type: z
        .enum(["bounded-wait", "fifo"], { error: "a policy: bounded-wait or fifo" })
        .prefault("bounded-wait")
        .describe(
          "When to switch. bounded-wait: when it pays, and before anybody waits too long. fifo: at the first request for another model.",
        ),
      request_timeout_secs: duration.prefault(60).describe("How long a request may wait for its model; then 504."),
      drain_before_switch: trueOrFalse
        .prefault(true)
        .describe("Let running requests end before their model is put to sleep; false aborts them."),
      drain_timeout_secs: duration
        .nullable()
        .prefault(null)
        .describe(
          "How long a drain may take; then what still runs is aborted. null: as long as it takes. Not beside drain_budget_secs.",
        ),
      drain_budget_secs: duration
        .nullable()
        .prefault(null)
        .describe(
          "How long a drain may take; then what still runs is suspended, to go on when its model is awake again, if the model's engine can (suspend), and aborted if not. null: as long as it takes. Not beside drain_timeout_secs.",
        ),
      min_active_secs: duration
        .prefault(5)
        .describe("fifo: how long a model stays awake at least. It serves new requests meanwhile."),
      target_wait_secs: duration
        .prefault(25)
        .describe("bounded-wait: an older request may force a switch, as far as forced_share allows."),
      max_wait_secs: duration
        .prefault(120)
        .describe(
          "bounded-wait: an older request does force a switch, at 80 % of request_timeout_secs at the latest. More than target_wait_secs.",
        ),
      forced_share: share
        .prefault(0.1)
        .describe("bounded-wait: the share of all time, 0 to 1, that switches forced by target_wait_secs may spend."),
      max_queued: requestCount
        .prefault(2000)
        .describe("How many requests may wait for one model, for models that say nothing else; further ones get 429."),
      max_queued_total: requestCount
        .prefault(10_000)
        .describe("How many requests may wait for all models together; further ones get 429."),
      idle_sleep_secs: duration
        .nullable()
        .prefault(null)
        .describe(
          "An awake model that nobody has used for this long is put to sleep, unless it is pinned. null: never.",
        ),
      idle_stop_secs: duration
        .nullable()
        .prefault(null)
        .describe("The engine of a model that has been asleep for this long is stopped. null: never."),
      sleep_level: sleepLevel
        .prefault(1)
        .describe("For models that name none. 1: weights to host RAM; 2: weights discarded; 3: engine stopped."),
    },
    { error: mapping },
  )
  .describe("When to switch models, and how.");
