/** Fields that several routes share: prompts out of messages, stop texts, token usage. */
import { detokenize } from "../tokens.ts";
import { badRequest } from "./api-errors.ts";
import type { JsonObject } from "./exchange.ts";
import type { Ending } from "./generation.ts";
import { checkFields } from "./validation.ts";

/** All that was said in a list of chat messages, as one text with the roles in it. */
export function messagesText(messages: readonly unknown[]): string {
  return messages.map((message) => `<|${roleOf(message)}|>${contentText(contentOf(message))}`).join("\n");
}

/** The text of a content that is a string or a list of parts. */
export function contentText(content: unknown): string {
  if (typeof content === "string") return content;
  if (!Array.isArray(content)) return content === undefined || content === null ? "" : JSON.stringify(content);
  return content
    .map((part) => (isObject(part) && typeof part["text"] === "string" ? part["text"] : JSON.stringify(part)))
    .join("");
}

/** The texts at which an answer is to end: `stop` as a text or a list. */
export function stopsOf(json: JsonObject, key = "stop"): readonly string[] {
  const stop = json[key];
  if (stop === undefined || stop === null) return [];
  const list: readonly unknown[] = Array.isArray(stop) ? stop : [stop];
  checkFields(json, [{ name: key, kind: "texts" }]);
  if (list.includes("")) throw badRequest("stop cannot contain an empty string.");
  return list.map(String);
}

/** The texts of an `input` or `prompt`: a text, a list of texts, tokens, or a list of lists of tokens. */
export function textsOf(json: JsonObject, key: string): readonly string[] {
  const input = json[key];
  if (typeof input === "string") return [input];
  if (isTokens(input)) return [detokenize(input)];
  if (Array.isArray(input) && input.length > 0) {
    const texts = input.map((one: unknown) =>
      typeof one === "string" ? one : isTokens(one) ? detokenize(one) : undefined,
    );
    if (texts.every((text) => text !== undefined)) return texts;
  }
  throw badRequest(`${key}: expected a text, a list of texts, or tokens`, key);
}

/** OpenAI's usage of an ended answer. */
export function usageOf(ending: Ending): object {
  return {
    prompt_tokens: ending.promptTokens,
    total_tokens: ending.promptTokens + ending.completionTokens,
    completion_tokens: ending.completionTokens,
    prompt_tokens_details: null,
  };
}

/** Whether a value is a JSON object. */
export function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isTokens(value: unknown): value is readonly number[] {
  return Array.isArray(value) && value.length > 0 && value.every((one) => typeof one === "number");
}

function roleOf(message: unknown): string {
  return isObject(message) && typeof message["role"] === "string" ? message["role"] : "user";
}

function contentOf(message: unknown): unknown {
  return isObject(message) ? message["content"] : message;
}
