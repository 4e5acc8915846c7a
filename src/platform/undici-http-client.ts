/** HTTP by undici: short control calls, and the connection pools that carry requests to engines. */
import { Agent, Pool, request, type Dispatcher } from "undici";
import type { HttpClient } from "../ports/http-client.ts";

/** Answers to control calls are small; anything longer is not the engine we think it is. */
const ANSWER_BYTES_MAX = 1024 * 1024;

/**
 * vLLM's server closes a connection after 5 s without use (uvicorn's default). Ours leave the pool before that, so that no
 * request goes out on a connection that is being closed.
 */
const KEEP_ALIVE_MS = 4_000;

/** A client that opens a connection for each call: a control call must not fail because an old connection was closed. */
export function createHttpClient(): HttpClient & { close(): Promise<void> } {
  const agent = new Agent({ pipelining: 0, headersTimeout: 0, bodyTimeout: 0, maxResponseSize: ANSWER_BYTES_MAX });
  return {
    async call({ method, url, json, timeoutMs, signal }) {
      const deadline = AbortSignal.timeout(timeoutMs);
      const answer = await request(url, {
        method,
        dispatcher: agent,
        signal: signal === undefined ? deadline : AbortSignal.any([deadline, signal]),
        ...(json === undefined ? {} : { body: JSON.stringify(json), headers: { "content-type": "application/json" } }),
      });
      return { status: answer.statusCode, body: await answer.body.text() };
    },
    close: () => agent.close(),
  };
}

/** The pool for one engine's life. Deadlines are the caller's: a first token may take minutes. */
export function createEnginePool(origin: string): Dispatcher & { destroy(): Promise<void> } {
  return new Pool(origin, {
    connections: null,
    pipelining: 1,
    keepAliveTimeout: KEEP_ALIVE_MS,
    keepAliveMaxTimeout: KEEP_ALIVE_MS,
    headersTimeout: 0,
    bodyTimeout: 0,
    connect: { timeout: 5_000 },
  });
}
