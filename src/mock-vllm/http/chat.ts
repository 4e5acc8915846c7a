/** POST /v1/chat/completions. */
import { randomUUID } from "node:crypto";
import { invalidBody } from "./api-errors.ts";
import { streamAnswer } from "./answer-stream.ts";
import type { Exchange, JsonObject } from "./exchange.ts";
import { generate, generateWhole, modelNameOf, numberOf } from "./generation.ts";
import type { Ending, Wish } from "./generation.ts";
import { messagesText, stopsOf, usageOf } from "./request-fields.ts";

/** Answers a chat, whole or as a stream of chunks. */
export async function chatCompletions(exchange: Exchange): Promise<void> {
  const json = await exchange.readJson();
  const wish = chatWish(exchange, json);
  const id = `chatcmpl-${randomUUID().replaceAll("-", "")}`;
  const base = { id, created: Math.floor(Date.now() / 1000), model: wish.modelName };
  if (json["stream"] === true) return streamChat(exchange, wish, base);
  const { text, ending } = await generateWhole(exchange, wish);
  exchange.sendJson(200, {
    ...base,
    object: "chat.completion",
    choices: [
      {
        index: 0,
        message: {
          role: "assistant",
          content: text,
          refusal: null,
          annotations: null,
          audio: null,
          function_call: null,
          tool_calls: [],
          reasoning: null,
        },
        logprobs: null,
        finish_reason: ending.reason,
        stop_reason: ending.stop ?? null,
        token_ids: null,
      },
    ],
    service_tier: null,
    system_fingerprint: null,
    usage: usageOf(ending),
    prompt_logprobs: null,
  });
}

function chatWish(exchange: Exchange, json: JsonObject): Wish {
  const messages = json["messages"];
  if (!Array.isArray(messages)) {
    throw invalidBody("[{'type': 'missing', 'loc': ('body', 'messages'), 'msg': 'Field required'}]");
  }
  return {
    modelName: modelNameOf(exchange, json),
    prompt: messagesText(messages),
    maxTokens: numberOf(json, "max_completion_tokens") ?? numberOf(json, "max_tokens"),
    stops: stopsOf(json),
    json,
  };
}

async function streamChat(exchange: Exchange, wish: Wish, base: object): Promise<void> {
  const chunk = (delta: object, reason: string | null, extra: object = {}): string =>
    JSON.stringify({
      ...base,
      object: "chat.completion.chunk",
      choices: [{ index: 0, delta, logprobs: null, finish_reason: reason, ...extra }],
    });
  let isFirst = true;
  await streamAnswer(exchange, wish, generate(exchange, wish), {
    onPiece: (piece) => {
      if (isFirst) exchange.sendEvent(chunk({ role: "assistant", content: "" }, null));
      isFirst = false;
      exchange.sendEvent(chunk({ content: piece }, null, { token_ids: null }));
    },
    onEnd: (ending: Ending) => {
      exchange.sendEvent(chunk({ content: "" }, ending.reason, { stop_reason: ending.stop ?? null, token_ids: null }));
    },
    usageChunk: (ending) =>
      JSON.stringify({ ...base, object: "chat.completion.chunk", choices: [], usage: usageOf(ending) }),
  });
}
