/** A client of the gateway: asks whole answers and streams, and tells a complete one from one that broke off. */
import { Agent, request, type Dispatcher } from "undici";

/** What is asked, beyond the model. */
export interface Question {
  readonly prompt?: string;
  /** How many tokens the answer has, exactly. */
  readonly tokens?: number;
  readonly headers?: Readonly<Record<string, string>>;
}

/** The error object of an answer or of a stream's last event. */
export interface ErrorObject {
  readonly message: string;
  readonly type: string;
  readonly code: string;
}

/** A whole answer. */
export interface Reply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  /** What the model said; empty in an error. */
  readonly text: string;
  readonly error: ErrorObject | null;
  readonly tookMs: number;
}

/** One gateway's client. */
export class Client {
  readonly #origin: string;
  readonly #agent = new Agent({ pipelining: 1, headersTimeout: 0, bodyTimeout: 0 });

  constructor(port: number) {
    this.#origin = `http://127.0.0.1:${port}`;
  }

  /** Asks for a chat completion, whole. Rejects when there is no answer, or half of one. */
  ask(model: string, question: Question = {}, signal?: AbortSignal): Promise<Reply> {
    const reply = this.#ask(model, question, signal);
    // A test that fails before it looks at this one is to tell its own reason.
    reply.catch(() => {});
    return reply;
  }

  async #ask(model: string, question: Question, signal?: AbortSignal): Promise<Reply> {
    const beganAtMs = performance.now();
    const answer = await this.#post(model, question, false, signal);
    const document = JSON.parse(await answer.body.text()) as ChatDocument;
    return {
      status: answer.statusCode,
      headers: answer.headers,
      text: document.choices?.[0]?.message?.content ?? "",
      error: document.error ?? null,
      tookMs: performance.now() - beganAtMs,
    };
  }

  /** Asks for a stream; resolves with its head. */
  async stream(model: string, question: Question = {}): Promise<AnswerStream> {
    const leaving = new AbortController();
    return new AnswerStream(await this.#post(model, question, true, leaving.signal), leaving);
  }

  /** Any other request. */
  async call(
    method: Dispatcher.HttpMethod,
    path: string,
    body?: unknown,
  ): Promise<{ status: number; body: string; headers: Reply["headers"] }> {
    const answer = await request(this.#origin + path, {
      method,
      dispatcher: this.#agent,
      ...(body === undefined ? {} : { body: JSON.stringify(body), headers: { "content-type": "application/json" } }),
    });
    return { status: answer.statusCode, body: await answer.body.text(), headers: answer.headers };
  }

  /** Breaks what is still open. */
  async close(): Promise<void> {
    await this.#agent.destroy();
  }

  #post(model: string, question: Question, stream: boolean, signal?: AbortSignal): Promise<Dispatcher.ResponseData> {
    const { prompt = "What is the capital of France?", tokens = 8, headers = {} } = question;
    const body = {
      model,
      stream,
      messages: [{ role: "user", content: prompt }],
      temperature: 0,
      seed: 42,
      max_tokens: tokens,
      ignore_eos: true,
    };
    return request(`${this.#origin}/v1/chat/completions`, {
      method: "POST",
      dispatcher: this.#agent,
      headers: { "content-type": "application/json", ...headers },
      body: JSON.stringify(body),
      ...(signal === undefined ? {} : { signal }),
    });
  }
}

interface ChatDocument {
  readonly choices?: readonly { message?: { content?: string }; delta?: { content?: string } }[];
  readonly error?: ErrorObject;
}

/** A stream as its client sees it. */
export class AnswerStream {
  readonly status: number;
  /** "complete": after `[DONE]`, and in order; "broken off": the connection broke. */
  readonly ended: Promise<"complete" | "broken off" | "ended without [DONE]">;
  /** The error event, if there was one. */
  error: ErrorObject | null = null;
  text = "";
  /** Pieces with text, so far. */
  pieces = 0;
  #isDone = false;
  #onPiece: (() => void)[] = [];
  readonly #leaving: AbortController;

  constructor(answer: Dispatcher.ResponseData, leaving: AbortController) {
    this.status = answer.statusCode;
    this.#leaving = leaving;
    this.ended = this.#read(answer.body);
  }

  /** Resolves when something of the answer has come. */
  async begun(): Promise<void> {
    while (this.pieces === 0) {
      const piece = new Promise<void>((resolve) => {
        this.#onPiece.push(resolve);
      });
      const ended = await Promise.race([piece.then(() => null), this.ended]);
      if (ended !== null && this.pieces === 0) {
        throw new Error(`the stream is ${ended} before it began: ${JSON.stringify(this.error)}`);
      }
    }
  }

  /** Goes away without a word. */
  leave(): void {
    this.#leaving.abort();
  }

  async #read(body: AsyncIterable<Buffer>): Promise<"complete" | "broken off" | "ended without [DONE]"> {
    let rest = "";
    try {
      for await (const chunk of body) {
        const events = (rest + chunk.toString("utf8")).split("\n\n");
        rest = events.pop() ?? "";
        for (const event of events) this.#take(event.trim());
      }
    } catch {
      return "broken off";
    }
    return this.#isDone ? "complete" : "ended without [DONE]";
  }

  #take(event: string): void {
    const data = /^data: (.*)$/m.exec(event)?.[1];
    if (data === undefined) return;
    if (data === "[DONE]") {
      this.#isDone = true;
      return;
    }
    const document = JSON.parse(data) as ChatDocument;
    this.error ??= document.error ?? null;
    const piece = document.choices?.[0]?.delta?.content ?? "";
    if (piece === "") return;
    this.text += piece;
    this.pieces += 1;
    for (const tell of this.#onPiece.splice(0)) tell();
  }
}
