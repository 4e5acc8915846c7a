/** The official clients of a gateway that asks for keys, and what they sent and got on the way. */
import Anthropic from "@anthropic-ai/sdk";
import OpenAI from "openai";
import { createKey, hashOfKey } from "../../../src/base/api-key.ts";

/** A key for everything. */
export const KEY = createKey();

/** A key for model `a` alone. */
export const KEY_FOR_A = createKey();

/** A key that may have one request under way. */
export const KEY_FOR_ONE = createKey();

/** `api_keys` of the configuration: those above. */
export const API_KEYS = [
  { name: "everything", hash: hashOfKey(KEY) },
  { name: "only a", hash: hashOfKey(KEY_FOR_A), models: ["a"] },
  { name: "one at a time", hash: hashOfKey(KEY_FOR_ONE), max_in_flight: 1 },
] as const;

/** What a client is to do otherwise than by itself: it tries once and waits a minute. */
export interface ClientWish {
  readonly apiKey?: string;
  readonly maxRetries?: number;
  readonly timeoutMs?: number;
}

/** One try of a client. Times are those of `performance.now()`. */
export interface Try {
  readonly atMs: number;
  readonly status: number;
  readonly headers: Headers;
}

/** What a client did on its own: each request that it has sent, and the head of its answer. */
export class Tries {
  readonly all: Try[] = [];
  readonly #onTry: (one: Try) => void;

  /** `onTry` hears of each when its head has come, before the client does. */
  constructor(onTry: (one: Try) => void = () => {}) {
    this.#onTry = onTry;
  }

  /** In the place of `fetch`. */
  readonly fetch = async (url: string | URL | Request, init?: RequestInit): Promise<Response> => {
    const atMs = performance.now();
    const response = await fetch(url, init);
    const one = { atMs, status: response.status, headers: response.headers };
    this.all.push(one);
    this.#onTry(one);
    return response;
  };

  get statuses(): readonly number[] {
    return this.all.map(({ status }) => status);
  }

  /** From the start of the first try to that of the second, in ms. */
  get pauseMs(): number {
    return (this.all[1]?.atMs ?? Number.NaN) - (this.all[0]?.atMs ?? Number.NaN);
  }
}

/** OpenAI's client of the gateway at this port. */
export function openaiOf(port: number, wish: ClientWish = {}, tries = new Tries()): OpenAI {
  return new OpenAI({ baseURL: `http://127.0.0.1:${port}/v1`, ...settings(wish), fetch: tries.fetch });
}

/** Anthropic's client of the gateway at this port; it sends its key as `x-api-key`. */
export function anthropicOf(port: number, wish: ClientWish = {}, tries = new Tries()): Anthropic {
  return new Anthropic({ baseURL: `http://127.0.0.1:${port}`, authToken: null, ...settings(wish), fetch: tries.fetch });
}

function settings({ apiKey = KEY, maxRetries = 0, timeoutMs = 60_000 }: ClientWish) {
  return { apiKey, maxRetries, timeout: timeoutMs };
}

/** The same answer each time, as long as this. */
export function chatBody(model: string, tokens = 8) {
  return {
    model,
    messages: [{ role: "user" as const, content: "What is the capital of France?" }],
    temperature: 0,
    seed: 42,
    max_tokens: tokens,
    ignore_eos: true,
  };
}

/** The same for Anthropic's route. */
export function messageBody(model: string, tokens = 8) {
  return {
    model,
    messages: [{ role: "user" as const, content: "What is the capital of France?" }],
    max_tokens: tokens,
    ignore_eos: true,
  };
}
