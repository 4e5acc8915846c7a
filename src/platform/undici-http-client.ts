/** Short control calls, by undici. */
import { setImmediate as nextTurn } from "node:timers/promises";
import { Agent, request, type Dispatcher } from "undici";
import type { HttpAnswer, HttpClient } from "../ports/http-client.ts";

/** Answers to control calls are small; anything longer is not the engine we think it is. */
const ANSWER_BYTES_MAX = 1024 * 1024;

/** A client that opens a connection for each call, unless the call brings connections along. */
export function createHttpClient(): HttpClient & { close(): Promise<void> } {
  const agent = new Agent({ pipelining: 0, headersTimeout: 0, bodyTimeout: 0 });
  return {
    async call({ method, url, json, timeoutMs, signal, over }) {
      const limit = new AbortController();
      // Not `AbortSignal.timeout`: that one stays in memory until its time is over, minutes after a call that took 1 ms.
      const timer = setTimeout(() => limit.abort(new DOMException("no answer in time", "TimeoutError")), timeoutMs);
      const sent = {
        method,
        signal: signal === undefined ? limit.signal : AbortSignal.any([limit.signal, signal]),
        ...(json === undefined ? {} : { body: JSON.stringify(json), headers: { "content-type": "application/json" } }),
      };
      try {
        if (over === undefined) return await exchange(url, { ...sent, dispatcher: agent });
        return await exchangeOver(over, url, sent, agent);
      } finally {
        clearTimeout(timer);
      }
    },
    close: () => agent.close(),
  };
}

type Sent = Omit<NonNullable<Parameters<typeof request>[1]>, "dispatcher">;

async function exchangeOver(over: Dispatcher, url: string, sent: Sent, agent: Agent): Promise<HttpAnswer> {
  // The end of a request may have led straight to here.
  await untilFree();
  try {
    const answer = await exchange(url, { ...sent, dispatcher: over });
    // So that what follows from this answer can use the connection too.
    await untilFree();
    return answer;
  } catch (error) {
    if (!isBrokenConnection(error)) throw error;
    return exchange(url, { ...sent, dispatcher: agent });
  }
}

/** A pool of undici's takes a connection back in the turn of the event loop that follows the end of an answer. */
async function untilFree(): Promise<void> {
  await Promise.resolve();
  await nextTurn();
}

async function exchange(url: string, options: Sent & { readonly dispatcher: Dispatcher }): Promise<HttpAnswer> {
  const { statusCode, body } = await request(url, options);
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of body as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > ANSWER_BYTES_MAX) throw new Error(`the answer is longer than ${ANSWER_BYTES_MAX} bytes`);
    chunks.push(chunk);
  }
  return { status: statusCode, body: Buffer.concat(chunks).toString() };
}

/** The engine closed the connection, as it may at any time with one that is not in use. */
function isBrokenConnection(error: unknown): boolean {
  return error instanceof Error && "code" in error && BROKEN_CODES.has(error.code);
}

const BROKEN_CODES: ReadonlySet<unknown> = new Set(["UND_ERR_SOCKET", "ECONNRESET", "EPIPE"]);
