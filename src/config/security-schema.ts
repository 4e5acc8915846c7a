/** The parts of the configuration file that say who may come in, and how much and how long anybody may take. */

import { z } from "zod";
import { KEY_HASH } from "../base/api-key.ts";
import { byteSize, duration, mapping, requestCount, text } from "./schema-values.ts";

const hashPhrase = "the hash of a key, sha256: and 64 hexadecimal digits, as llmux key new prints it";

/** The hash of a key. */
const keyHash = z.string({ error: hashPhrase }).regex(KEY_HASH, { error: hashPhrase });

const namesPhrase = "a list of at least one model";

/** One of `api_keys`. */
export const apiKeySchema = z
  .strictObject(
    {
      name: text("a name for the key, as text").describe("What the log calls whoever uses this key."),
      hash: keyHash.describe("What is kept of the key, as llmux key new prints it."),
      models: z
        .array(text("the name of a model, as text"), { error: namesPhrase })
        .min(1, { error: namesPhrase })
        .nullable()
        .prefault(null)
        .describe("The models that it may use, by name or alias; null: all."),
      requests_per_minute: requestCount
        .nullable()
        .prefault(null)
        .describe(
          "How many requests it may make a minute, all at once or spread; further ones get 429. null: any number.",
        ),
      max_in_flight: requestCount
        .nullable()
        .prefault(null)
        .describe("How many of its requests may wait or run at a time; further ones get 429. null: any number."),
      priority: z
        .enum(["low", "normal", "high"], { error: "a priority: low, normal or high" })
        .nullable()
        .prefault(null)
        .describe(
          "What its requests weigh: the header x-llmux-priority can make them lighter, not heavier. null: as the model says, or the header.",
        ),
    },
    { error: mapping },
  )
  .describe("One API key.");

/** `api_keys`. */
export const apiKeysSchema = z
  .array(apiKeySchema, { error: "a list of keys, each a mapping with a name and a hash" })
  .prefault([])
  .describe("The keys of clients. With none, whoever reaches llmux may use it.");

/** `admin_key`. */
export const adminKeySchema = keyHash
  .nullable()
  .prefault(null)
  .describe(
    "The hash of the operators' key. With it, the metrics' listener takes their commands too, and asks for the key, for the metrics as well.",
  );

const fileOf = (what: string) => text(`the path of ${what}, in PEM`);

/** What `tls` consists of. */
export const tlsFilesSchema = z.strictObject(
  {
    cert_file: fileOf("the certificate").describe("The certificate in PEM, followed by those that lead to the root."),
    key_file: fileOf("the certificate's key").describe("Its private key in PEM, without a passphrase."),
  },
  { error: mapping },
);

/** `tls`. */
export const tlsSchema = tlsFilesSchema
  .nullable()
  .prefault(null)
  .describe("Speak TLS, 1.2 or newer. The files are read again when they change. null: plain HTTP.");

const timeMsMin = 100;
const timePhrase = "a duration of at least 100ms";

/** A duration of at least 100 ms: one of zero would end everything, or nothing. */
export const limitedTime = duration.refine((ms) => ms >= timeMsMin, { error: timePhrase });

const countPhrase = "a whole number between 1 and 1000000";
const headerPhrase = "a size between 1KiB and 1MiB";

/** `limits`. */
export const limitsSchema = z
  .strictObject(
    {
      max_connections: z
        .int({ error: countPhrase })
        .min(1, { error: countPhrase })
        .max(1_000_000, { error: countPhrase })
        .prefault(16_384)
        .describe("How many connections of clients there may be; further ones get 503."),
      max_header_bytes: byteSize
        .refine((bytes) => bytes >= 1_024 && bytes <= 1_048_576, { error: headerPhrase })
        .prefault("16KiB")
        .describe("The largest headers of a request, all together; then 431."),
      header_timeout_secs: limitedTime
        .prefault(30)
        .describe("How long the headers of a request may take to arrive; then 408."),
      body_timeout_secs: limitedTime
        .prefault(300)
        .describe("How long the body of a request may take to arrive after its headers' time; then 408."),
      keep_alive_secs: limitedTime
        .prefault(75)
        .describe("How long a connection may lie idle between two requests; then it is closed."),
      client_stall_secs: limitedTime
        .prefault(120)
        .describe("How long a client may read nothing of an answer that is there; then its connection is cut."),
    },
    { error: mapping },
  )
  .prefault({})
  .describe("How much and how long clients may take.");
