/** An answer being made for one request: its words in time, its end, its usage, and the faults that may strike in between. */
import { answerOf, garbageAt } from "../answers.ts";
import { ClientGoneError } from "../decoder.ts";
import type { FinishReason } from "../decoder.ts";
import { countTokens } from "../tokens.ts";
import { badRequest, unknownModel } from "./api-errors.ts";
import type { Exchange, JsonObject } from "./exchange.ts";

/** What a route has understood of its request. */
export interface Wish {
  readonly modelName: string;
  readonly prompt: string;
  /** Undefined lets the answer end by itself. */
  readonly maxTokens: number | undefined;
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

/** The name the request asks for, checked: a missing one means the base model. Throws vLLM's 404. */
export function modelNameOf(exchange: Exchange, json: JsonObject): string {
  const { servedModelNames, model } = exchange.services.args;
  const base = servedModelNames[0] ?? model;
  const name = json["model"];
  if (name === undefined || name === null || name === "") return base;
  if (typeof name !== "string") throw badRequest("model: Input should be a valid string", "model");
  if (!servedModelNames.includes(name)) throw unknownModel(name);
  return name;
}

/**
 * Checks the request (throws vLLM's 400 at once, before anything is sent) and gives the pieces of its answer as they are
 * decoded; the generator returns how it ended.
 */
export function generate(exchange: Exchange, wish: Wish): AsyncGenerator<string, Ending> {
  const { settings, args } = exchange.services;
  const promptTokens = countTokens(wish.prompt);
  const naturalTokens = settings.answerTokens ?? defaultAnswerTokens;
  const count = tokenCount(wish, promptTokens, naturalTokens, args.maxModelLenTokens);
  numberOf(wish.json, "temperature");
  numberOf(wish.json, "seed");
  const endsEarly = count < naturalTokens || wish.json["ignore_eos"] === true;
  return decode(exchange, wish, { promptTokens, count, lastReason: endsEarly ? "length" : "stop" });
}

async function* decode(
  exchange: Exchange,
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
  const run = engine.decoder.run(count, exchange.gone);
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

/** A number of the request; undefined if absent or null. Throws 400 for anything else. */
export function numberOf(json: JsonObject, key: string): number | undefined {
  const value = json[key];
  if (value === undefined || value === null) return undefined;
  if (typeof value !== "number") throw badRequest(`${key}: Input should be a valid number`, key);
  return value;
}

function tokenCount(wish: Wish, promptTokens: number, naturalTokens: number, maxModelLenTokens: number): number {
  const room = maxModelLenTokens - promptTokens;
  const { maxTokens } = wish;
  if (room <= 0 || (maxTokens !== undefined && maxTokens > room)) {
    throw badRequest(
      `This model's maximum context length is ${maxModelLenTokens} tokens. However, you requested ${maxTokens ?? 0} output tokens and ` +
        `your prompt contains ${promptTokens} input tokens, for a total of ${promptTokens + (maxTokens ?? 0)} tokens. ` +
        "Please reduce the length of the input prompt or the number of requested output tokens.",
      "input_tokens",
    );
  }
  if (maxTokens !== undefined && (!Number.isInteger(maxTokens) || maxTokens < 1)) {
    throw badRequest(`max_tokens must be at least 1, got ${maxTokens}.`, "max_tokens");
  }
  if (wish.json["ignore_eos"] === true) return Math.min(room, maxTokens ?? room);
  return Math.min(room, naturalTokens, maxTokens ?? naturalTokens);
}

/** Takes the faults meant for this request now, so that each strikes one request and not whichever is first to get there. */
function drawFaults(exchange: Exchange): { afterChunk: (chunks: number) => Promise<void> } {
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
