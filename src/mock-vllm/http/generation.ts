/** An answer being made for one request: its words in time, its end, its usage, and the faults that may strike in between. */
import { answerOf, garbageAt } from "../answers.ts";
import { ClientGoneError } from "../decoder.ts";
import type { FinishReason } from "../decoder.ts";
import { countTokens } from "../tokens.ts";
import { EngineDeadError } from "../engine-link.ts";
import { badValue, unknownModel } from "./api-errors.ts";
import type { Exchange, JsonObject } from "./exchange.ts";
import { checkFields, isTrue } from "./validation.ts";
import type { Field } from "./validation.ts";

/** For whom an answer is made. */
export type Asker = Pick<Exchange, "services" | "gone" | "logged">;

/** What a route has understood of its request. */
export interface Wish {
  readonly modelName: string;
  readonly prompt: string;
  /** Undefined lets the answer end by itself. */
  readonly maxTokens: number | undefined;
  /** The field that `maxTokens` came from, for the refusal. */
  readonly maxTokensName: string;
  readonly stops: readonly string[];
  readonly json: JsonObject;
}

/** How an answer ended. */
export interface Ending {
  readonly reason: FinishReason;
  /** The stop text that ended it, if one did. */
  readonly stop: string | undefined;
  readonly promptTokens: number;
  readonly completionTokens: number;
}

const defaultAnswerTokens = 24;

/** The field `model`, as most routes take it. */
export const modelField: Field = { name: "model", kind: "text" };
/** The fields beyond a route's own that the stand-in acts on, in vLLM's order. */
export const samplingFields: readonly Field[] = [
  { name: "max_tokens", kind: "integer" },
  { name: "seed", kind: "integer" },
  { name: "stop", kind: "texts" },
  { name: "stream", kind: "flag" },
  { name: "temperature", kind: "number" },
];

/** The name the request asks for, checked: a missing one, null or "" means the base model. Throws vLLM's 400 and 404. */
export function modelNameOf(exchange: Exchange, json: JsonObject): string {
  const { args, version } = exchange.services;
  const { servedModelNames, model } = args;
  checkFields(json, [modelField]);
  const base = servedModelNames[0] ?? model;
  const name = json["model"];
  if (typeof name !== "string" || name === "") return base;
  if (servedModelNames.includes(name)) return name;
  throw unknownModel(name, version.manner === "0.32" ? servedModelNames : undefined);
}

/**
 * Checks the request (throws vLLM's 400 at once, before anything is sent) and gives the pieces of its answer as they are
 * decoded; the generator returns how it ended.
 */
export function generate(exchange: Asker, wish: Wish): AsyncGenerator<string, Ending> {
  const { settings, args, engine } = exchange.services;
  if (engine.link.isDead) throw new EngineDeadError();
  const promptTokens = countTokens(wish.prompt);
  const naturalTokens = settings.answerTokens ?? defaultAnswerTokens;
  const count = tokenCount(wish, promptTokens, naturalTokens, args.maxModelLenTokens);
  const endsEarly = count < naturalTokens || wish.json["ignore_eos"] === true;
  return decode(exchange, wish, { promptTokens, count, lastReason: endsEarly ? "length" : "stop" });
}

async function* decode(
  exchange: Asker,
  wish: Wish,
  plan: { promptTokens: number; count: number; lastReason: FinishReason },
): AsyncGenerator<string, Ending> {
  const { engine, meters, args } = exchange.services;
  const startedAt = performance.now();
  const { promptTokens, count } = plan;
  meters.onPrompt(promptTokens);
  const say = answerOf({
    modelPath: args.model,
    modelName: wish.modelName,
    prompt: wish.prompt,
    temperature: numberOf(wish.json, "temperature"),
    seed: numberOf(wish.json, "seed"),
  });
  const struck = drawFaults(exchange);
  const run = engine.decoder.run(count, exchange.gone, promptTokens);
  let text = "";
  let tokens = 0;
  let end = await run.next();
  try {
    while (end.done !== true) {
      if (tokens === 0) meters.onFirstToken(performance.now() - startedAt);
      const piece = engine.saysGarbage(wish.prompt) ? garbageAt(end.value) : say(end.value);
      tokens += 1;
      if (exchange.logged !== undefined) exchange.logged.tokens = tokens;
      meters.onToken();
      const before = text.length;
      text += piece;
      const stop = wish.stops.find((one) => text.includes(one));
      if (stop !== undefined) {
        // What comes before the stop text, unless it has already been sent as part of an earlier piece.
        yield text.slice(before, Math.max(before, text.indexOf(stop)));
        return finish("stop", stop);
      }
      yield piece;
      await struck.afterChunk(tokens);
      end = await run.next();
    }
  } finally {
    await run.return(undefined);
  }
  if (end.value === "abort") return finish("abort", undefined);
  return finish(plan.lastReason, undefined);

  function finish(reason: FinishReason, stop: string | undefined): Ending {
    meters.onEnd(reason, performance.now() - startedAt);
    if (exchange.logged !== undefined)
      exchange.services.requests.close(exchange.logged, reason === "abort" ? "aborted" : "finished");
    return { reason, stop, promptTokens, completionTokens: tokens };
  }
}

/** Makes the whole answer before anything is sent. */
export async function generateWhole(exchange: Exchange, wish: Wish): Promise<{ text: string; ending: Ending }> {
  const pieces = generate(exchange, wish);
  let text = "";
  for (;;) {
    const next = await pieces.next();
    if (next.done === true) return { text, ending: next.value };
    text += next.value;
  }
}

/** A number of the request, in any of the forms that `checkFields` lets pass; undefined if absent or null. Throws 400 otherwise. */
export function numberOf(json: JsonObject, name: string): number | undefined {
  checkFields(json, [{ name, kind: "number" }]);
  const value = json[name];
  return value === undefined || value === null ? undefined : Number(value);
}

/** Whether an answer is wanted as a stream. */
export function wantsStream(json: JsonObject): boolean {
  return isTrue(json["stream"]);
}

/** The reasons for a refusal stand in vLLM's order; a wish that is only too large for the room left is cut down to it. */
function tokenCount(wish: Wish, promptTokens: number, naturalTokens: number, maxModelLenTokens: number): number {
  const { maxTokens, maxTokensName } = wish;
  if (maxTokens !== undefined && maxTokens > maxModelLenTokens) {
    throw badValue(
      `${maxTokensName}=${maxTokens} cannot be greater than max_model_len=${maxModelLenTokens}. ` +
        "Please request fewer output tokens.",
      maxTokensName,
      maxTokens,
    );
  }
  if (promptTokens > maxModelLenTokens) {
    // A longer prompt is not even counted to its end.
    const atLeastTokens = maxModelLenTokens + 1;
    throw badValue(
      `This model's maximum context length is ${maxModelLenTokens} tokens. However, your prompt contains at least ` +
        `${atLeastTokens} input tokens, which exceeds this limit even without any output tokens. ` +
        "Please reduce the length of the input prompt.",
      "input_tokens",
      atLeastTokens,
    );
  }
  const limit = Math.min(maxModelLenTokens - promptTokens, maxTokens ?? Infinity);
  if (limit < 1) throw badValue(`max_tokens must be at least 1, got ${limit}.`, "max_tokens", limit);
  return wish.json["ignore_eos"] === true ? limit : Math.min(limit, naturalTokens);
}

/** Takes the faults meant for this request now, so that each strikes one request and not whichever is first to get there. */
function drawFaults(exchange: Asker): { afterChunk: (chunks: number) => Promise<void> } {
  const { faults, engine } = exchange.services;
  const at = (name: "stream-stall" | "crash-engine-after-chunks" | "crash-api-after-chunks"): number => {
    const value = faults.take(name);
    return value === undefined ? Infinity : Number(value === "" ? 1 : value);
  };
  const stallAt = at("stream-stall");
  const engineDiesAt = at("crash-engine-after-chunks");
  const apiDiesAt = at("crash-api-after-chunks");
  if (stallAt === Infinity && engineDiesAt === Infinity && apiDiesAt === Infinity)
    return { afterChunk: async () => {} };
  return {
    afterChunk: async (chunks) => {
      if (chunks >= Math.min(engineDiesAt, apiDiesAt)) {
        // The chunk has to leave this process before it dies, or the client would see fewer than ordered.
        await new Promise((resolve) => setTimeout(resolve, 5));
        if (chunks >= apiDiesAt) process.kill(process.pid, "SIGKILL");
        engine.link.kill();
        await engine.link.died;
      }
      if (chunks >= stallAt) await whenGone(exchange.gone);
    },
  };
}

async function whenGone(gone: AbortSignal): Promise<never> {
  if (!gone.aborted) await new Promise((resolve) => gone.addEventListener("abort", resolve));
  throw new ClientGoneError();
}
