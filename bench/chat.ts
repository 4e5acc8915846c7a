/** The client of the benchmarks: asks a model for a short answer and notes when what happened. */
import { request, type Dispatcher } from "undici";
import { CHAT_PATH, epochNowMs } from "./engine-events.ts";

/** A question under way. */
export interface Question {
  readonly model: string;
  readonly sentAtMs: number;
  /** Resolves at the first byte of the answer's body. */
  readonly begun: Promise<void>;
  /** Resolves when the answer is complete; rejects when it is not a 200, or breaks off. */
  readonly answered: Promise<Answer>;
}

/** A complete answer. Times are epoch ms. */
export interface Answer {
  readonly model: string;
  readonly sentAtMs: number;
  readonly lastByteAtMs: number;
  readonly body: string;
}

/** Asks; `stream` asks for an event stream. */
export function ask(dispatcher: Dispatcher, origin: string, model: string, stream: boolean): Question {
  const sentAtMs = epochNowMs();
  const begun = Promise.withResolvers<void>();
  const answered = receive(dispatcher, origin, { model, stream, sentAtMs }, () => begun.resolve());
  answered.catch(begun.reject);
  // Whoever awaits `answered` hears of the failure there.
  begun.promise.catch(() => {});
  return { model, sentAtMs, begun: begun.promise, answered };
}

async function receive(
  dispatcher: Dispatcher,
  origin: string,
  question: { readonly model: string; readonly stream: boolean; readonly sentAtMs: number },
  onFirstByte: () => void,
): Promise<Answer> {
  const { model, stream, sentAtMs } = question;
  const messages = [{ role: "user", content: "Count." }];
  const response = await request(origin + CHAT_PATH, {
    method: "POST",
    dispatcher,
    headersTimeout: 0,
    bodyTimeout: 0,
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ model, messages, stream }),
  });
  const chunks: Buffer[] = [];
  for await (const chunk of response.body as AsyncIterable<Buffer>) {
    if (chunks.length === 0) onFirstByte();
    chunks.push(chunk);
  }
  const lastByteAtMs = epochNowMs();
  const body = Buffer.concat(chunks).toString();
  if (response.statusCode !== 200) throw new Error(`model ${model}: ${response.statusCode} ${body.slice(0, 300)}`);
  if (stream && !body.trimEnd().endsWith("[DONE]")) throw new Error(`model ${model}: the stream broke off`);
  return { model, sentAtMs, lastByteAtMs, body };
}
