/** A question whose answer must not change over a sleep: temperature 0, a fixed seed. */
import type { HttpClient } from "../ports/http-client.ts";

/** A way of asking that an engine understands. */
interface Form {
  readonly path: string;
  readonly body: Readonly<Record<string, unknown>>;
  /** The part of the answer that must stay the same; null when it is not there. */
  readonly answerIn: (body: unknown) => unknown;
}

const QUESTION = "Name the planets of the solar system in order, then explain in one sentence why the sky is blue.";
const SAMPLING = { temperature: 0, seed: 42, max_tokens: 64 };

interface Completion {
  readonly choices?: readonly { readonly text?: unknown; readonly message?: { readonly content?: unknown } }[];
}

/** Chat models first; then models without a chat template; then models that only embed. */
const FORMS: readonly Form[] = [
  {
    path: "/v1/chat/completions",
    body: { messages: [{ role: "user", content: QUESTION }], ...SAMPLING },
    answerIn: (body) => (body as Completion).choices?.[0]?.message?.content ?? null,
  },
  {
    path: "/v1/completions",
    body: { prompt: QUESTION, ...SAMPLING },
    answerIn: (body) => (body as Completion).choices?.[0]?.text ?? null,
  },
  {
    path: "/v1/embeddings",
    body: { input: QUESTION },
    answerIn: (body) => (body as { data?: readonly { embedding?: unknown }[] }).data?.[0]?.embedding ?? null,
  },
];

/** Asks one engine the fixed question, each time in the form that it understood first. */
export class FixedQuestion {
  readonly #http: HttpClient;
  readonly #model: string;
  readonly #timeoutMs: number;
  readonly #signal: AbortSignal;
  #form: Form | null = null;

  /** A question under way when `signal` is aborted rejects. */
  constructor(http: HttpClient, model: string, timeoutMs: number, signal: AbortSignal) {
    this.#http = http;
    this.#model = model;
    this.#timeoutMs = timeoutMs;
    this.#signal = signal;
  }

  /** Resolves with the answer as text to compare. Rejects, with what the engine said, when it answers in no form. */
  async ask(origin: string): Promise<string> {
    const refusals: string[] = [];
    for (const form of this.#form === null ? FORMS : [this.#form]) {
      const { status, body } = await this.#http.call({
        method: "POST",
        url: origin + form.path,
        json: { model: this.#model, ...form.body },
        timeoutMs: this.#timeoutMs,
        signal: this.#signal,
      });
      const answer = status === 200 ? form.answerIn(JSON.parse(body)) : null;
      if (answer !== null) {
        this.#form = form;
        return JSON.stringify(answer);
      }
      refusals.push(`${form.path} answered ${status}: ${body.slice(0, 200)}`);
    }
    throw new Error(`the engine does not answer the test question: ${refusals.join("; ")}`);
  }
}
