/** POST /v1/messages and /v1/messages/count_tokens: Anthropic's API, with its error shape and its named events. */
import { ClientGoneError } from "../decoder.ts";
import type { FinishReason } from "../decoder.ts";
import { countTokens } from "../tokens.ts";
import { ApiError, serverError } from "./api-errors.ts";
import type { Exchange, JsonObject } from "./exchange.ts";
import { generate, generateWhole, modelNameOf, numberOf, wantsStream } from "./generation.ts";
import type { Ending, Wish } from "./generation.ts";
import { contentText, messagesText, stopsOf } from "./request-fields.ts";
import { checkFields } from "./validation.ts";
import type { Field } from "./validation.ts";

const countedFields: readonly Field[] = [
  { name: "model", kind: "text", required: true },
  { name: "messages", kind: "list", required: true },
];
const fields: readonly Field[] = [
  ...countedFields,
  { name: "max_tokens", kind: "integer", required: true },
  { name: "stop_sequences", kind: "list" },
  { name: "stream", kind: "flag" },
  { name: "temperature", kind: "number" },
];

/**
 * What a stream says when the engine fails: it is made out of a chat's stream, and the chat's error chunk is not one of the
 * chunks it knows.
 */
const failedStreamMessage = [
  "2 validation errors for ChatCompletionStreamResponse",
  ...["model", "choices"].flatMap((field) => [
    field,
    "  Field required [type=missing, input_value={'error': {'message': 'En...am': None, 'code': 500}}, input_type=dict]",
    "    For further information visit https://errors.pydantic.dev/2.14/v/missing",
  ]),
].join("\n");

/** Answers a conversation, whole or as named events. */
export async function messages(exchange: Exchange): Promise<void> {
  const json = await exchange.readJson();
  checkFields(json, fields);
  return withAnthropicErrors(exchange, async () => {
    const wish = messagesWish(exchange, json);
    const base = { id: `chatcmpl-${exchange.id}`, type: "message", role: "assistant", model: wish.modelName };
    if (wantsStream(json)) return streamMessage(exchange, wish, base);
    const { text, ending } = await generateWhole(exchange, wish);
    return exchange.sendJson(200, {
      ...base,
      content: [{ type: "text", text }],
      stop_reason: stopReasonOf(ending),
      stop_sequence: ending.stop ?? null,
      usage: { input_tokens: ending.promptTokens, output_tokens: ending.completionTokens },
    });
  });
}

/** Counts the tokens of a conversation without answering it. */
export async function countMessageTokens(exchange: Exchange): Promise<void> {
  const json = await exchange.readJson();
  checkFields(json, countedFields);
  return withAnthropicErrors(exchange, async () => {
    exchange.sendJson(200, { input_tokens: countTokens(messagesWish(exchange, json).prompt) });
  });
}

function messagesWish(exchange: Exchange, json: JsonObject): Wish {
  const list = json["messages"] as readonly unknown[];
  const system = json["system"] === undefined ? [] : [{ role: "system", content: contentText(json["system"]) }];
  return {
    modelName: modelNameOf(exchange, json),
    prompt: messagesText([...system, ...list]),
    maxTokens: numberOf(json, "max_tokens"),
    maxTokensName: "max_completion_tokens",
    stops: stopsOf(json, "stop_sequences"),
    json,
  };
}

async function streamMessage(exchange: Exchange, wish: Wish, base: object): Promise<void> {
  const pieces = generate(exchange, wish);
  exchange.beginStream();
  const send = (type: string, rest: object): void => exchange.sendEvent(JSON.stringify({ type, ...rest }), type);
  try {
    let next = await pieces.next();
    const usage = { input_tokens: countTokens(wish.prompt), output_tokens: 0 };
    send("message_start", { message: { ...base, content: [], stop_reason: null, stop_sequence: null, usage } });
    const hasText = next.done !== true;
    if (hasText) send("content_block_start", { index: 0, content_block: { type: "text", text: "" } });
    while (next.done !== true) {
      send("content_block_delta", { index: 0, delta: { type: "text_delta", text: next.value } });
      next = await pieces.next();
    }
    const ending = next.value;
    if (hasText) send("content_block_stop", { index: 0 });
    send("message_delta", {
      // As the real one: without a token nothing was said of the end, and then it takes it for a good one.
      delta: { stop_reason: hasText ? stopReasonOf(ending) : "end_turn", stop_sequence: ending.stop ?? null },
      usage: { input_tokens: ending.promptTokens, output_tokens: ending.completionTokens },
    });
    send("message_stop", {});
  } catch (error) {
    if (error instanceof ClientGoneError) throw error;
    if (exchange.logged !== undefined) exchange.services.requests.close(exchange.logged, "failed");
    send("error", { error: { type: "internal_error", message: failedStreamMessage } });
  }
  exchange.endStream();
}

function stopReasonOf(ending: Ending): string | null {
  const reasons: Record<FinishReason, string | null> = { stop: "end_turn", length: "max_tokens", abort: null };
  return ending.stop === undefined ? reasons[ending.reason] : "stop_sequence";
}

/** What fails beyond the validation of the body is told in Anthropic's shape, under the types of vLLM. */
async function withAnthropicErrors(exchange: Exchange, action: () => Promise<void>): Promise<void> {
  try {
    await action();
  } catch (error) {
    if (error instanceof ClientGoneError) throw error;
    const { status, type, message } =
      error instanceof ApiError ? error : serverError(error instanceof Error ? error.message : String(error));
    exchange.sendJson(status, { type: "error", error: { type, message } });
  }
}
