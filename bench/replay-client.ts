/** Replays requests at true speed against a gateway, and notes how long each waited for its first token. */
import { setTimeout } from "node:timers/promises";
import { request, type Dispatcher } from "undici";
import type { Arrival } from "../src/simulation/arrivals.ts";
import { OUTPUT_TOKENS_MAX, PROMPT_TOKENS_MAX } from "../src/simulation/engine-model.ts";

/** Three bytes are a token of the stand-in engine. */
const TOKEN = "abc";

/** How long a request took; null where it got no answer. */
export interface ReplayedRequest {
  readonly ttftMs: number | null;
  /** How much later than the trace says it was sent. */
  readonly lateMs: number;
  /** Why it was not served. */
  readonly fault: string | null;
}

/** Sends every request when it is due, and resolves when all have ended. */
export async function replay(
  dispatcher: Dispatcher,
  origin: string,
  arrivals: readonly Arrival[],
): Promise<readonly ReplayedRequest[]> {
  const beganAtMs = performance.now();
  const all: Promise<ReplayedRequest>[] = [];
  for (const arrival of arrivals) {
    const dueInMs = beganAtMs + arrival.atMs - performance.now();
    if (dueInMs > 0) await setTimeout(dueInMs);
    const lateMs = performance.now() - beganAtMs - arrival.atMs;
    all.push(send(dispatcher, origin, arrival, lateMs));
  }
  return Promise.all(all);
}

async function send(
  dispatcher: Dispatcher,
  origin: string,
  { model, promptTokens, outputTokens }: Arrival,
  lateMs: number,
): Promise<ReplayedRequest> {
  const sentAtMs = performance.now();
  let ttftMs: number | null = null;
  try {
    const answer = await request(`${origin}/v1/completions`, {
      method: "POST",
      dispatcher,
      headersTimeout: 0,
      bodyTimeout: 0,
      headers: { "content-type": "application/json" },
      body: JSON.stringify({
        model,
        prompt: TOKEN.repeat(Math.max(1, Math.min(promptTokens, PROMPT_TOKENS_MAX))),
        max_tokens: Math.max(1, Math.min(outputTokens, OUTPUT_TOKENS_MAX)),
        ignore_eos: true,
        stream: true,
      }),
    });
    let end = "";
    for await (const chunk of answer.body as AsyncIterable<Buffer>) {
      ttftMs ??= performance.now() - sentAtMs;
      end = (end + chunk.toString()).slice(-END.length);
    }
    if (answer.statusCode !== 200) return { ttftMs: null, lateMs, fault: `status ${answer.statusCode}: ${end}` };
    if (!end.includes("[DONE]")) return { ttftMs, lateMs, fault: "the stream broke off" };
    return { ttftMs, lateMs, fault: null };
  } catch (error) {
    return { ttftMs, lateMs, fault: String(error) };
  }
}

/** As much of an answer's end as holds the mark of a whole stream. */
const END = "data: [DONE]\n\n".padEnd(300);
