/** What is asked and answered: the same bytes through every proxy. */

/** The model that answers. */
export const AWAKE_MODEL = "bench/awake-1B";

/** The model that never comes up. */
export const SILENT_MODEL = "bench/silent-1B";

/** A stream's pieces, and how far apart they are. */
export const CHUNKS = 128;
export const CHUNK_EVERY_MS = 5;

/** The size of a large body and of a large answer. */
export const BIG_BYTES = 100_000_000;

/** What the upstream is to answer: a short JSON document, a stream, a stream that stops after its first chunk, a large body, or `{}`. */
export type Kind = "json" | "stream" | "idle" | "big" | "nothing";

/** The size of a short request's body. */
export const SHORT_BYTES = 1_500;

/** What a prompt repeats: text as it is written, with what JSON has to escape. */
const TEXT =
  'if (name === "value") {\n  // What becomes of it is for the caller to say, and none of our business.\n  return null;\n}\n';

/** An answer as an engine gives it. */
export const JSON_ANSWER = JSON.stringify({
  id: "chatcmpl-0123456789abcdef",
  object: "chat.completion",
  created: 1_700_000_000,
  model: AWAKE_MODEL,
  choices: [{ index: 0, message: { role: "assistant", content: "word ".repeat(64) }, finish_reason: "stop" }],
  usage: { prompt_tokens: 300, total_tokens: 364, completion_tokens: 64 },
});

/** An event as engines send one for each token. */
export const STREAM_CHUNK = `data: ${JSON.stringify({
  id: "chatcmpl-0123456789abcdef",
  object: "chat.completion.chunk",
  created: 1_700_000_000,
  model: AWAKE_MODEL,
  choices: [{ index: 0, delta: { content: " word" }, logprobs: null, finish_reason: null }],
})}\n\n`;

/** A chat request of about `bytes` bytes, 1,500 exactly unless told. */
export function chatBody(model: string, stream: boolean, bytes = SHORT_BYTES): string {
  const body = (content: string): string =>
    JSON.stringify({ model, stream, messages: [{ role: "user", content }], max_tokens: 64, temperature: 0.7 });
  const missing = bytes - body("").length;
  if (bytes === SHORT_BYTES) return body("x".repeat(missing));
  // Without its quotes.
  const textBytes = JSON.stringify(TEXT).length - 2;
  return body(TEXT.repeat(Math.round(missing / textBytes)));
}

/** The whole request as it goes over the wire. */
export function requestBytes(key: string, kind: Kind, body: string): Buffer {
  const head = [
    "POST /v1/chat/completions HTTP/1.1",
    "host: 127.0.0.1",
    "accept: application/json",
    "user-agent: bench/1",
    `authorization: Bearer ${key}`,
    "content-type: application/json",
    `x-bench: ${kind}`,
    `content-length: ${Buffer.byteLength(body)}`,
  ];
  return Buffer.from(`${head.join("\r\n")}\r\n\r\n${body}`);
}
