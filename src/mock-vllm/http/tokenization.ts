/** POST /tokenize and /detokenize: answered by the API server alone, whatever the engine does. */
import { detokenize as textOf, tokenize as tokensOf } from "../tokens.ts";
import { badRequest } from "./api-errors.ts";
import type { Exchange } from "./exchange.ts";
import { modelNameOf } from "./generation.ts";
import { messagesText } from "./request-fields.ts";

/** Text or messages to tokens. */
export async function tokenize(exchange: Exchange): Promise<void> {
  const json = await exchange.readJson();
  modelNameOf(exchange, json);
  const { prompt, messages } = json;
  if (typeof prompt !== "string" && !Array.isArray(messages)) throw badRequest("prompt: Field required", "prompt");
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
  modelNameOf(exchange, json);
  const { tokens } = json;
  if (!Array.isArray(tokens) || !tokens.every((token) => Number.isInteger(token))) {
    throw badRequest("tokens: Input should be a valid list of integers", "tokens");
  }
  exchange.sendJson(200, { prompt: textOf(tokens as number[]) });
}
