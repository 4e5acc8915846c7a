/** POST /v1/messages and /v1/messages/count_tokens: Anthropic's API, with its error shape and its named events. */
import { randomUUID } from "node:crypto";
import { ClientGoneError } from "../decoder.ts";
import type { FinishReason } from "../decoder.ts";
import { countTokens } from "../tokens.ts";
import { ApiError, badRequest } from "./api-errors.ts";
import type { Exchange, JsonObject } from "./exchange.ts";
import { generate, generateWhole, modelNameOf, numberOf } from "./generation.ts";
import type { Ending, Wish } from "./generation.ts";
import { contentText, messagesText, stopsOf } from "./request-fields.ts";

/** Answers a conversation, whole or as named events. */
export function messages(exchange: Exchange): Promise<void> {
  return withAnthropicErrors(exchange, async () => {
    const json = await exchange.readJson();
    const wish = messagesWish(exchange, json);
    if (wish.maxTokens === undefined) throw badRequest("max_tokens: Field required", "max_tokens");
    const base = {
      id: `msg_${randomUUID().replaceAll("-", "")}`,
      type: "message",
      role: "assistant",
      model: wish.modelName,
    };
    if (json["stream"] === true) return streamMessage(exchange, wish, base);
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
export function countMessageTokens(exchange: Exchange): Promise<void> {
  return withAnthropicErrors(exchange, async () => {
    const wish = messagesWish(exchange, await exchange.readJson());
    exchange.sendJson(200, { input_tokens: countTokens(wish.prompt) });
  });
}

function messagesWish(exchange: Exchange, json: JsonObject): Wish {
  const list = json["messages"];
  if (!Array.isArray(list)) throw badRequest("messages: Field required", "messages");
  const system = json["system"] === undefined ? [] : [{ role: "system", content: contentText(json["system"]) }];
  return {
    modelName: modelNameOf(exchange, json),
    prompt: messagesText([...system, ...list]),
    maxTokens: numberOf(json, "max_tokens"),
    stops: stopsOf(json, "stop_sequences"),
    json,
  };
}

async function streamMessage(exchange: Exchange, wish: Wish, base: object): Promise<void> {
  const pieces = generate(exchange, wish);
  exchange.beginStream();
  const send = (type: string, fields: object): void => exchange.sendEvent(JSON.stringify({ type, ...fields }), type);
  try {
    const usage = { input_tokens: countTokens(wish.prompt), output_tokens: 0 };
    send("message_start", { message: { ...base, content: [], stop_reason: null, stop_sequence: null, usage } });
    send("content_block_start", { index: 0, content_block: { type: "text", text: "" } });
    let next = await pieces.next();
    while (next.done !== true) {
      send("content_block_delta", { index: 0, delta: { type: "text_delta", text: next.value } });
      next = await pieces.next();
    }
    const ending = next.value;
    send("content_block_stop", { index: 0 });
    send("message_delta", {
      delta: { stop_reason: stopReasonOf(ending), stop_sequence: ending.stop ?? null },
      usage: { input_tokens: ending.promptTokens, output_tokens: ending.completionTokens },
    });
    send("message_stop", {});
  } catch (error) {
    if (error instanceof ClientGoneError) throw error;
    if (exchange.logged !== undefined) exchange.services.requests.close(exchange.logged, "failed");
    send("error", { error: { type: "api_error", message: error instanceof Error ? error.message : String(error) } });
  }
  exchange.endStream();
}

function stopReasonOf(ending: Ending): string {
  const reasons: Record<FinishReason, string> = { stop: "end_turn", length: "max_tokens", abort: "end_turn" };
  return ending.stop === undefined ? reasons[ending.reason] : "stop_sequence";
}

async function withAnthropicErrors(exchange: Exchange, action: () => Promise<void>): Promise<void> {
  try {
    await action();
  } catch (error) {
    if (error instanceof ClientGoneError) throw error;
    const status = error instanceof ApiError ? error.status : 500;
    const types: Record<number, string> = { 400: "invalid_request_error", 404: "not_found_error" };
    const message = error instanceof Error ? error.message : String(error);
    exchange.sendJson(status, { type: "error", error: { type: types[status] ?? "api_error", message } });
  }
}
