/** POST /v1/completions. */
import { streamAnswer } from "./answer-stream.ts";
import { badRequest, badValue } from "./api-errors.ts";
import type { Exchange } from "./exchange.ts";
import {
  generate,
  generateWhole,
  modelField,
  modelNameOf,
  numberOf,
  samplingFields,
  wantsStream,
} from "./generation.ts";
import type { Ending, Wish } from "./generation.ts";
import { stopsOf, textsOf, usageOf } from "./request-fields.ts";
import { checkFields } from "./validation.ts";

/** vLLM's default for this route, where an answer does not end by itself. */
const defaultMaxTokens = 16;

/** Completes a prompt, whole or as a stream. */
export async function completions(exchange: Exchange): Promise<void> {
  const json = await exchange.readJson();
  if ((json["prompt"] ?? "") === "") {
    throw badValue("Either prompt or prompt_embeds must be provided and non-empty.", "prompt");
  }
  checkFields(json, [modelField, ...samplingFields]);
  const modelName = modelNameOf(exchange, json);
  const [prompt = "", ...more] = textsOf(json, "prompt");
  if (more.length > 0) throw badRequest("the stand-in completes one prompt a request", "prompt");
  const wish = {
    modelName,
    prompt,
    maxTokens: numberOf(json, "max_tokens") ?? defaultMaxTokens,
    maxTokensName: "max_tokens",
    stops: stopsOf(json),
    json,
  };
  const id = `cmpl-${exchange.id}`;
  const base = { id, object: "text_completion", created: Math.floor(Date.now() / 1000), model: modelName };
  if (wantsStream(json)) return streamCompletion(exchange, wish, base);
  const { text, ending } = await generateWhole(exchange, wish);
  return exchange.sendJson(200, { ...base, choices: [choiceOf(text, ending)], usage: usageOf(ending) });
}

async function streamCompletion(exchange: Exchange, wish: Wish, base: object): Promise<void> {
  await streamAnswer(exchange, wish, generate(exchange, wish), {
    onPiece: (piece) => exchange.sendEvent(JSON.stringify({ ...base, choices: [choiceOf(piece)], usage: null })),
    onEnd: (ending) => {
      // As the real one: what was aborted before its first token gets no chunk at all.
      if (ending.completionTokens === 0) return;
      exchange.sendEvent(JSON.stringify({ ...base, choices: [choiceOf("", ending)], usage: null }));
    },
    usageChunk: (ending) => JSON.stringify({ ...base, choices: [], usage: usageOf(ending) }),
  });
}

function choiceOf(text: string, ending?: Ending): object {
  return { index: 0, text, logprobs: null, finish_reason: ending?.reason ?? null, stop_reason: ending?.stop ?? null };
}
