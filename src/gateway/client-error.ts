/** Answers what is not even a request: broken HTTP, endless headers, requests that never end. */
import type { Duplex } from "node:stream";
import { failure } from "../base/failure.ts";
import { errorBody } from "./errors.ts";

interface Refusal {
  readonly status: number;
  readonly reason: string;
  readonly message: string;
}

const REFUSALS: Readonly<Record<string, Refusal>> = {
  ERR_HTTP_REQUEST_TIMEOUT: {
    status: 408,
    reason: "Request Timeout",
    message: "The request did not arrive in time.",
  },
  HPE_HEADER_OVERFLOW: {
    status: 431,
    reason: "Request Header Fields Too Large",
    message: "The headers are too large.",
  },
  HPE_CHUNK_EXTENSIONS_OVERFLOW: {
    status: 413,
    reason: "Payload Too Large",
    message: "The chunk extensions are too large.",
  },
};

const BROKEN: Refusal = { status: 400, reason: "Bad Request", message: "This is not a valid HTTP/1.1 request." };

/** Answers and closes the connection. Returns the status that was sent, or null when nothing could be. */
export function answerClientError(error: Error, socket: Duplex): number | null {
  const code = "code" in error && typeof error.code === "string" ? error.code : "";
  if (!socket.writable || code === "ECONNRESET" || NO_TLS.test(code) || hasBegunAnswer(socket)) {
    socket.destroy();
    return null;
  }
  const refusal = REFUSALS[code] ?? BROKEN;
  const body = errorBody(failure("invalid_request", refusal.message), "openai", "");
  socket.end(
    `HTTP/1.1 ${refusal.status} ${refusal.reason}\r\n` +
      `content-type: application/json; charset=utf-8\r\n` +
      `content-length: ${Buffer.byteLength(body)}\r\n` +
      `connection: close\r\n\r\n${body}`,
  );
  socket.resume();
  socket.once("finish", () => socket.destroy());
  return refusal.status;
}

/** A handshake that failed, or did not come: there is nobody who could read an answer, and it would wait for him for ever. */
const NO_TLS = /^ERR_(?:SSL|TLS)_|^EPROTO$/;

/** With the head of one answer already on the wire, a second one would become part of its body. */
function hasBegunAnswer(socket: Duplex): boolean {
  // Node keeps the response that has its turn here, and its own default handler looks at the same place.
  const current: unknown = Reflect.get(socket, "_httpMessage");
  return typeof current === "object" && current !== null && "headersSent" in current && current.headersSent === true;
}
