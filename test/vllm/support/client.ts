/** A client that asks as people do, with OpenAI's own library, and lets no truncated answer pass. */
import assert from "node:assert/strict";
import OpenAI from "openai";

/** Answers of the tiny models are gibberish, but always the same to the same question. */
const QUESTION = "hello world";
const TOKENS = 24;

/** vLLM's own key beside OpenAI's: the answer is exactly as long as asked for. */
const EXACT = { ignore_eos: true };

/** One gateway's client; every answer must come at the first try. */
export class Client {
  readonly #openai: OpenAI;
  readonly #origin: string;

  constructor(port: number) {
    this.#origin = `http://127.0.0.1:${port}`;
    this.#openai = new OpenAI({ baseURL: `${this.#origin}/v1`, apiKey: "none", maxRetries: 0, timeout: 600_000 });
  }

  /** A chat answer, whole. Rejects unless it is complete. */
  async chat(model: string, tokens = TOKENS): Promise<string> {
    const answer = await this.#openai.chat.completions.create({ ...chatBody(model, tokens), stream: false });
    assert.equal(answer.model, model);
    assert.equal(answer.choices[0]?.finish_reason, "length", "the answer was truncated");
    assert.equal(answer.usage?.completion_tokens, tokens);
    return answer.choices[0].message.content ?? "";
  }

  /** A chat answer, chunk by chunk; `onChunk` hears of each. Rejects unless it is complete. */
  async chatStream(model: string, tokens = TOKENS, onChunk: () => void = () => {}): Promise<string> {
    const options = { stream: true, stream_options: { include_usage: true } } as const;
    const stream = await this.#openai.chat.completions.create({ ...chatBody(model, tokens), ...options });
    let text = "";
    let finish: string | null = null;
    let made = 0;
    for await (const chunk of stream) {
      assert.equal(chunk.model, model);
      text += chunk.choices[0]?.delta.content ?? "";
      finish = chunk.choices[0]?.finish_reason ?? finish;
      made = chunk.usage?.completion_tokens ?? made;
      if (text !== "") onChunk();
    }
    assert.equal(finish, "length", "the stream was truncated");
    assert.equal(made, tokens);
    return text;
  }

  async completion(model: string): Promise<string> {
    const body = { model, prompt: QUESTION, temperature: 0, max_tokens: TOKENS, ...EXACT };
    const answer = await this.#openai.completions.create(body);
    assert.equal(answer.choices[0]?.finish_reason, "length");
    return answer.choices[0].text;
  }

  async response(model: string): Promise<string> {
    const answer = await this.#openai.responses.create({
      model,
      input: QUESTION,
      temperature: 0,
      max_output_tokens: TOKENS,
    });
    assert.equal(answer.model, model);
    return answer.output_text;
  }

  async modelIds(): Promise<readonly string[]> {
    const ids: string[] = [];
    for await (const model of this.#openai.models.list()) ids.push(model.id);
    return ids;
  }

  /** Any other request. */
  async post(path: string, body: unknown): Promise<{ readonly status: number; readonly body: unknown }> {
    const answer = await fetch(this.#origin + path, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    });
    return { status: answer.status, body: await answer.json() };
  }
}

function chatBody(model: string, tokens: number) {
  return {
    model,
    messages: [{ role: "user", content: QUESTION }],
    temperature: 0,
    max_tokens: tokens,
    ...EXACT,
  } satisfies OpenAI.Chat.ChatCompletionCreateParams & typeof EXACT;
}
