/** `models.*.engine`: which inference server runs a model, and how one is run that llmux does not know. */

import { z } from "zod";
import { duration, mapping, text } from "./schema-values.ts";

const commandPhrase = "a command: a list of a program and its arguments, or a text such as docker stop my-engine";
const orderPhrase = `a request, such as /sleep or {post: /sleep, json: {}}, or ${commandPhrase}`;
const healthPhrase = `a path such as /health, a URL, or ${commandPhrase}`;
const urlPhrase = "an http or https URL of a host, without a path, such as http://127.0.0.1:9000";
const enginePhrase = "vllm, sglang, llama-server, or a mapping with command or external";

/** A list of words, or a text that is split as a shell would split it. */
const commandLine = z.union([text(commandPhrase), z.array(text(commandPhrase)).min(1)], { error: commandPhrase });

/** A command, or a request. */
const order = z
  .union(
    [
      text(orderPhrase),
      z.array(text(orderPhrase)).min(1),
      z.strictObject({
        post: text("a path or a URL").describe("The path or URL that is posted to."),
        json: z.unknown().optional().describe("The body."),
      }),
    ],
    { error: orderPhrase },
  )
  .nullable()
  .prefault(null);

const health = z
  .union([text(healthPhrase), z.array(text(healthPhrase)).min(1)], { error: healthPhrase })
  .prefault("/health");

const sleepText = "Gives its GPU memory back: a request or a command. null: it cannot sleep, only stop.";
const wakeText = "Takes it again, and answers when it can serve.";

/** `models.*.engine.command`. */
export const commandEngineSchema = z
  .strictObject(
    {
      start: commandLine.describe(
        "Starts it: in the foreground, or, with a stop, returning when it runs, as docker run -d does. ${PORT} stands for its port.",
      ),
      stop: commandLine
        .nullable()
        .prefault(null)
        .describe("Ends it, as docker stop does. null: its processes are ended by signals."),
      stop_timeout_secs: duration.prefault(30).describe("How long the stop may take."),
      url: text(urlPhrase).prefault("http://127.0.0.1:${PORT}").describe("Where it listens."),
      health: health.describe("A path or URL that answers 200, or a command that ends with 0, once it can serve."),
      sleep: order.describe(sleepText),
      wake: order.describe(wakeText),
    },
    { error: mapping },
  )
  .describe("An engine that is started and ended by commands.");

/** `models.*.engine.external`. */
export const externalEngineSchema = z
  .strictObject(
    {
      url: text(urlPhrase).describe("Where it listens: scheme, host and port."),
      health: health.describe("A path or URL that answers 200, or a command that ends with 0, while it can serve."),
      api_key_env: text("the name of an environment variable")
        .nullable()
        .prefault(null)
        .describe("The variable of llmux's environment that holds the API key it asks for."),
      sleep: order.describe(sleepText),
      wake: order.describe(wakeText),
    },
    { error: mapping },
  )
  .describe("An engine that somebody else runs: it is never started or stopped.");

/** The mapping that `models.*.engine` may be. */
export const engineMappingSchema = z
  .strictObject(
    { command: commandEngineSchema.optional(), external: externalEngineSchema.optional() },
    { error: enginePhrase },
  )
  .refine((engine) => Object.keys(engine).length === 1, { error: enginePhrase });

/** `models.*.engine`. */
export const engineSchema = z
  .union([z.enum(["vllm", "sglang", "llama-server"], { error: enginePhrase }), engineMappingSchema], {
    error: enginePhrase,
  })
  .prefault("vllm")
  .describe(
    "What runs it: vllm, sglang or llama-server; {command: …} for any other server and for containers; {external: …} for one that llmux does not own.",
  );

/** Where an engine listens, with a number in the place of `${PORT}`; null if it is no such URL. */
export function engineUrl(written: string): URL | null {
  const url = URL.parse(written.replaceAll("${PORT}", "1"));
  if (url === null || !["http:", "https:"].includes(url.protocol)) return null;
  const isBare =
    url.pathname === "/" && url.search === "" && url.hash === "" && url.username === "" && url.password === "";
  return isBare ? url : null;
}

/** The phrase for what is none. */
export const engineUrlPhrase = urlPhrase;
