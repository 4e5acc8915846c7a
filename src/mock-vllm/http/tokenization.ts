/** POST /tokenize and /detokenize: answered by the API server alone, whatever the engine does. */
import { detokenize as textOf, tokenize as tokensOf } from "../tokens.ts";
import type { Exchange } from "./exchange.ts";
import { modelField, modelNameOf } from "./generation.ts";
import { messagesText } from "./request-fields.ts";
import { checkFields, invalid } from "./validation.ts";
import type { Field } from "./validation.ts";

const bothKinds: readonly Field[] = [
  { name: "prompt", kind: "text", required: true },
  { name: "messages", kind: "list", required: true },
];

/** Text or messages to tokens. */
export async function tokenize(exchange: Exchange): Promise<void> {
  const json = await exchange.readJson();
  const { prompt, messages } = json;
  // Two kinds of request share this route; what fits neither is refused with what is missing for both.
  if (typeof prompt !== "string" && !Array.isArray(messages)) checkFields(json, bothKinds);
  modelNameOf(exchange, json);
  const tokens = tokensOf(typeof prompt === "string" ? prompt : messagesText(Array.isArray(messages) ? messages : []));
  exchange.sendJson(200, {
    count: tokens.length,
    max_model_len: exchange.services.args.maxModelLenTokens,
    tokens,
    token_strs: null,
  });
}

/** Tokens to text. */
export async function detokenize(exchange: Exchange): Promise<void> {
  const json = await exchange.readJson();
  checkFields(json, [modelField, { name: "tokens", kind: "list", required: true }]);
  modelNameOf(exchange, json);
  const tokens = json["tokens"] as readonly unknown[];
  const wrongAt = tokens.findIndex((token) => !Number.isInteger(token));
  if (wrongAt !== -1) {
    const loc = `body.tokens.${wrongAt}`;
    throw invalid([{ type: "int_type", loc, msg: "Input should be a valid integer", input: tokens[wrongAt] }]);
  }
  exchange.sendJson(200, { prompt: textOf(tokens as number[]) });
}
