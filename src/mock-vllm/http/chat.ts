/** POST /v1/chat/completions. */
import { streamAnswer } from "./answer-stream.ts";
import type { Exchange, JsonObject } from "./exchange.ts";
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
import { messagesText, stopsOf, usageOf } from "./request-fields.ts";
import { checkFields } from "./validation.ts";
import type { Field } from "./validation.ts";

const fields: readonly Field[] = [
  { name: "messages", kind: "list", required: true },
  modelField,
  ...samplingFields,
  { name: "max_completion_tokens", kind: "integer" },
];

/** Answers a chat, whole or as a stream of chunks. */
export async function chatCompletions(exchange: Exchange): Promise<void> {
  const json = await exchange.readJson();
  const wish = chatWish(exchange, json);
  const id = `chatcmpl-${exchange.id}`;
  const base = { id, created: Math.floor(Date.now() / 1000), model: wish.modelName };
  if (wantsStream(json)) return streamChat(exchange, wish, base);
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
  checkFields(json, fields);
  const messages = json["messages"] as readonly unknown[];
  const maxCompletionTokens = numberOf(json, "max_completion_tokens");
  return {
    modelName: modelNameOf(exchange, json),
    prompt: messagesText(messages),
    maxTokens: maxCompletionTokens ?? numberOf(json, "max_tokens"),
    maxTokensName: maxCompletionTokens === undefined ? "max_tokens" : "max_completion_tokens",
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
  const sendRole = (): void => {
    if (isFirst) exchange.sendEvent(chunk({ role: "assistant", content: "" }, null));
    isFirst = false;
  };
  await streamAnswer(exchange, wish, generate(exchange, wish), {
    onPiece: (piece) => {
      sendRole();
      exchange.sendEvent(chunk({ content: piece }, null, { token_ids: null }));
    },
    onEnd: (ending: Ending) => {
      sendRole();
      // As the real one: what was aborted before its first token gets no chunk that says how it ended.
      if (ending.completionTokens === 0) return;
      exchange.sendEvent(chunk({ content: "" }, ending.reason, { stop_reason: ending.stop ?? null, token_ids: null }));
    },
    usageChunk: (ending) =>
      JSON.stringify({ ...base, object: "chat.completion.chunk", choices: [], usage: usageOf(ending) }),
  });
}
