/** Routes that answer in one step, without decoding: embeddings, pooling, classification, scores, ranking. */
import { embeddingOf, scoreOf } from "../answers.ts";
import { countTokens } from "../tokens.ts";
import { badRequest } from "./api-errors.ts";
import type { Exchange, JsonObject } from "./exchange.ts";
import { modelNameOf, numberOf } from "./generation.ts";
import { contentText, isObject, textsOf } from "./request-fields.ts";

const defaultDimensions = 64;

/** POST /v1/embeddings: vectors of length 1 that depend on model and text alone. */
export async function embeddings(exchange: Exchange): Promise<void> {
  const json = await exchange.readJson();
  const base = frameOf(exchange, json, "embd");
  const texts = textsOf(json, "input");
  const vectors = await vectorsOf(exchange, texts, numberOf(json, "dimensions") ?? defaultDimensions);
  const asBase64 = json["encoding_format"] === "base64";
  const data = vectors.map((vector, index) => {
    const embedding = asBase64 ? Buffer.from(new Float32Array(vector).buffer).toString("base64") : vector;
    return { index, object: "embedding", embedding };
  });
  exchange.sendJson(200, { ...base, object: "list", data, usage: pooledUsage(texts) });
}

/** POST /pooling. */
export async function pooling(exchange: Exchange): Promise<void> {
  const json = await exchange.readJson();
  const base = frameOf(exchange, json, "pool");
  const texts = textsOf(json, "input");
  const vectors = await vectorsOf(exchange, texts, defaultDimensions);
  const data = vectors.map((vector, index) => ({ index, object: "pooling", data: vector }));
  exchange.sendJson(200, { ...base, object: "list", data, usage: pooledUsage(texts) });
}

/** POST /classify: two classes. */
export async function classify(exchange: Exchange): Promise<void> {
  const json = await exchange.readJson();
  const base = frameOf(exchange, json, "classify");
  const texts = textsOf(json, "input");
  const scores = await scoresOf(exchange, "", texts);
  const data = scores.map((second, index) => {
    const probs = [Number((1 - second).toFixed(6)), second];
    return { index, label: second > 0.5 ? "LABEL_1" : "LABEL_0", probs, num_classes: 2 };
  });
  exchange.sendJson(200, { ...base, object: "list", data, usage: pooledUsage(texts) });
}

/** POST /score, /v1/score: text_1 against each of text_2. */
export async function score(exchange: Exchange): Promise<void> {
  const json = await exchange.readJson();
  const base = frameOf(exchange, json, "score");
  const lefts = textsOf(json, json["text_1"] === undefined ? "queries" : "text_1");
  const rights = textsOf(json, json["text_2"] === undefined ? "documents" : "text_2");
  if (lefts.length !== 1 && lefts.length !== rights.length)
    throw badRequest("Input lengths must be either 1:1, 1:N or N:N");
  const pairs = rights.map((right, at) => [lefts.length === 1 ? (lefts[0] ?? "") : (lefts[at] ?? ""), right] as const);
  await pooledStep(exchange, [...lefts, ...rights]);
  const data = pairs.map(([left, right], index) => ({
    index,
    object: "score",
    score: exchange.services.engine.saysGarbage(left) ? 0 : scoreOf(exchange.services.args.model, left, right),
  }));
  exchange.sendJson(200, { ...base, object: "list", data, usage: pooledUsage([...lefts, ...rights]) });
}

/** POST /rerank, /v1/rerank, /v2/rerank: documents in the order of their scores. */
export async function rerank(exchange: Exchange): Promise<void> {
  const json = await exchange.readJson();
  const { id, model } = frameOf(exchange, json, "rerank");
  const { query, documents } = json;
  if (typeof query !== "string") throw badRequest("query: Input should be a valid string", "query");
  if (!Array.isArray(documents) || documents.length === 0)
    throw badRequest("documents: Input should be a valid list", "documents");
  const texts = documents.map((one: unknown) =>
    isObject(one) ? contentText(one["text"] ?? one["content"]) : contentText(one),
  );
  const scores = await scoresOf(exchange, query, texts);
  const results = scores
    .map((relevance_score, index) => ({ index, document: { text: texts[index] ?? "" }, relevance_score }))
    .sort((a, b) => b.relevance_score - a.relevance_score)
    .slice(0, numberOf(json, "top_n") || texts.length);
  exchange.sendJson(200, { id, model, usage: { total_tokens: tokensOf([query, ...texts]) }, results });
}

async function vectorsOf(exchange: Exchange, texts: readonly string[], dimensions: number): Promise<number[][]> {
  const { engine, args } = exchange.services;
  await pooledStep(exchange, texts);
  return texts.map((text) => embeddingOf(engine.saysGarbage(text) ? "garbage" : args.model, text, dimensions));
}

async function scoresOf(exchange: Exchange, query: string, texts: readonly string[]): Promise<number[]> {
  const { engine, args } = exchange.services;
  await pooledStep(exchange, [query, ...texts]);
  return texts.map((text) => (engine.saysGarbage(query + text) ? 0 : scoreOf(args.model, query, text)));
}

/** One step of the engine: waits for its turn as any other request does. Aborted by a sleep, it fails as vLLM's do. */
async function pooledStep(exchange: Exchange, texts: readonly string[]): Promise<void> {
  const { engine, meters } = exchange.services;
  const promptTokens = tokensOf(texts);
  meters.onPrompt(promptTokens);
  const run = engine.decoder.run(1, exchange.gone, promptTokens);
  const first = await run.next();
  await run.return(undefined);
  if (first.done === true) throw badRequest("The request was aborted.");
}

function frameOf(exchange: Exchange, json: JsonObject, prefix: string): { id: string; created: number; model: string } {
  const id = `${prefix}-${exchange.id}`;
  return { id, created: Math.floor(Date.now() / 1000), model: modelNameOf(exchange, json) };
}

function pooledUsage(texts: readonly string[]): object {
  const tokens = tokensOf(texts);
  return { prompt_tokens: tokens, total_tokens: tokens, completion_tokens: 0, prompt_tokens_details: null };
}

function tokensOf(texts: readonly string[]): number {
  return texts.reduce((sum, text) => sum + countTokens(text), 0);
}
