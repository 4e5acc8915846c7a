/** A chat that comes in as a stream, straight from an engine, over the pool that llmux sends requests through. */
import assert from "node:assert/strict";
import { request } from "undici";
import type { EngineConnection } from "../../../src/ports/engine-directory.ts";

interface Chunk {
  readonly choices: readonly { readonly delta: { readonly content?: string }; readonly finish_reason: string | null }[];
  readonly usage?: { readonly completion_tokens: number } | null;
}

/** From the request to the last byte. */
export class Stream {
  /** Rejects when the stream breaks off. */
  readonly ended: Promise<void>;
  text = "";
  /** How many events have come; an engine that is behind puts several tokens into one. */
  chunks = 0;
  finish: string | null = null;
  tokens: number | null = null;
  hasEnded = false;

  constructor(connection: EngineConnection, model: string, tokens: number) {
    this.ended = this.#read(connection, model, tokens).finally(() => (this.hasEnded = true));
    this.ended.catch(() => {});
  }

  /** Fails unless all of the answer has come, as long as it was asked for. */
  assertWhole(tokens: number): void {
    assert.deepEqual([this.finish, this.tokens], ["length", tokens]);
  }

  async #read({ origin, dispatcher }: EngineConnection, model: string, tokens: number): Promise<void> {
    const { statusCode, body } = await request(`${origin}/v1/chat/completions`, {
      dispatcher,
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({
        model,
        messages: [{ role: "user", content: "hello world" }],
        temperature: 0,
        max_tokens: tokens,
        ignore_eos: true,
        stream: true,
        stream_options: { include_usage: true },
      }),
    });
    assert.equal(statusCode, 200);
    let rest = "";
    for await (const bytes of body as AsyncIterable<Buffer>) {
      const events = (rest + bytes.toString()).split("\n\n");
      rest = events.pop() ?? "";
      for (const event of events) this.#take(event);
    }
  }

  #take(event: string): void {
    const data = event.replace(/^data: /, "");
    if (data === "[DONE]") return;
    const { choices, usage } = JSON.parse(data) as Chunk;
    this.chunks += 1;
    this.text += choices[0]?.delta.content ?? "";
    this.finish = choices[0]?.finish_reason ?? this.finish;
    this.tokens = usage?.completion_tokens ?? this.tokens;
  }
}
