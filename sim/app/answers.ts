/** What is sent and what is answered, byte by byte: engines send it, and clients compare. */
import { unreachable } from "../../src/base/assert.ts";
import type { PlannedClient, RequestFault } from "./scenario.ts";

/** The request id of a client, by which the engine knows whose request it has. */
export function requestIdOf({ id }: Pick<PlannedClient, "id">): string {
  return `c${id}`;
}

/** The client of a request id; null if it is none of a client. */
export function clientIdOf(requestId: string): number | null {
  const digits = /^c(\d+)$/.exec(requestId)?.[1];
  return digits === undefined ? null : Number(digits);
}

/** The path of a client's request. */
export function pathOf({ dialect }: PlannedClient): string {
  return dialect === "anthropic" ? "/v1/messages" : "/v1/chat/completions";
}

/** The body of a client's request. */
export function bodyOf(client: PlannedClient): string {
  const words = "é".repeat(client.id % 7);
  return JSON.stringify({ model: client.model, stream: client.form === "stream", messages: [words, client.id] });
}

/** The head of an engine's answer. */
export interface AnswerHead {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
}

/** An engine's whole answer, in the pieces in which it sends it. */
export interface EngineAnswer extends AnswerHead {
  readonly pieces: readonly Buffer[];
}

/** What a healthy engine answers to this client. */
export function answerTo(client: PlannedClient): EngineAnswer {
  const { form, pieces, pieceBytes, id } = client;
  const whole = form === "stream" ? eventsFor(client) : Buffer.from(bodyText(id, pieces * pieceBytes));
  const length = { "content-length": String(whole.length) };
  const json = { "content-type": "application/json" };
  const inPieces = cut(whole, pieces, id);
  switch (form) {
    case "stream":
      return {
        status: 200,
        headers: { "content-type": "text/event-stream; charset=utf-8" },
        pieces: inPieces,
      };
    case "whole":
      return { status: 200, headers: { ...json, ...length }, pieces: [whole] };
    case "pieces with length":
      return { status: 200, headers: { ...json, ...length }, pieces: inPieces };
    case "chunked":
      return { status: 200, headers: json, pieces: inPieces };
  }
  return unreachable(form);
}

/** What an engine that lives answers when it cannot serve this one request. */
export function errorAnswerOf(fault: RequestFault & ("400" | "500")): EngineAnswer {
  const text = `{"error":{"message":"of the engine's own","type":"EngineError","param":null,"code":${fault}}}`;
  return {
    status: Number(fault),
    headers: { "content-type": "application/json", "content-length": String(text.length) },
    pieces: [Buffer.from(text)],
  };
}

/** What the API server says to everyone once its core is dead. */
export const LAST_WORD: EngineAnswer = (() => {
  const text =
    '{"error":{"message":"EngineCore encountered an issue","type":"InternalServerError","param":null,"code":500}}';
  return {
    status: 500,
    headers: { "content-type": "application/json", "content-length": String(text.length) },
    pieces: [Buffer.from(text)],
  };
})();

function bodyText(id: number, bytes: number): string {
  const head = `{"id":"c${id}","text":"`;
  return `${head}${"t".repeat(Math.max(0, bytes - head.length - 2))}"}`;
}

function eventsFor({ id, pieces, pieceBytes, dialect }: PlannedClient): Buffer {
  const name = dialect === "anthropic" ? "event: content_block_delta\n" : "";
  const end = dialect === "anthropic" ? 'event: message_stop\ndata: {"type":"message_stop"}\n\n' : "data: [DONE]\n\n";
  const events = Array.from(
    { length: pieces },
    (_, index) => `${name}data: {"id":"c${id}","i":${index},"text":"${"t".repeat(pieceBytes)}"}\n\n`,
  );
  return Buffer.from(events.join("") + end);
}

/** In equal pieces, which every third client gets shifted, so that they end in the middle of an event. */
function cut(whole: Buffer, pieces: number, id: number): Buffer[] {
  const size = Math.max(1, Math.ceil(whole.length / pieces));
  const shift = id % 3 === 0 ? Math.floor(size / 3) : 0;
  const found = [whole.subarray(0, size + shift)];
  for (let from = size + shift; from < whole.length; from += size) found.push(whole.subarray(from, from + size));
  return found;
}
