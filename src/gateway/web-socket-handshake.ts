/** The handshake of a WebSocket (RFC 6455, section 4), on both sides of the gateway. */
import { createHash, randomBytes } from "node:crypto";
import { STATUS_CODES } from "node:http";
import type { Duplex } from "node:stream";
import { failure, type Failure } from "../base/failure.ts";
import type { HttpRequest } from "./http1/http-request.ts";
import type { RequestHead } from "./http1/request-head.ts";

/** What a client has asked for. */
export interface Handshake {
  readonly key: string;
  /** Its subprotocols, in its order. */
  readonly protocols: readonly string[];
}

const VERSION = "13";

/** Browsers cannot send headers, so their clients put the key here. */
const KEY_PROTOCOL = "openai-insecure-api-key.";

/** Whether a request asks for a WebSocket at all. */
export function isWebSocket({ method, upgrade }: RequestHead): boolean {
  return method === "GET" && upgrade === "websocket";
}

/** Reads the handshake, or says what is wrong with it. */
export function readHandshake(request: HttpRequest): Handshake | Failure {
  const key = request.header("sec-websocket-key") ?? "";
  const version = request.header("sec-websocket-version");
  if (version !== VERSION) return failure("invalid_request", `The header sec-websocket-version must be ${VERSION}.`);
  if (!/^[A-Za-z0-9+/]{22}==$/.test(key))
    return failure("invalid_request", "The header sec-websocket-key is not valid.");
  const protocols = (request.header("sec-websocket-protocol") ?? "").split(",").map((name) => name.trim());
  return { key, protocols: protocols.filter((name) => /^[!-~]{1,200}$/.test(name)) };
}

/** The API key among a client's subprotocols; null where there is none. */
export function keyAmong(protocols: readonly string[]): string | null {
  return protocols.find((name) => name.startsWith(KEY_PROTOCOL))?.slice(KEY_PROTOCOL.length) ?? null;
}

/** The subprotocol to speak, of those that a client offers: "realtime", or else the first that carries no secret. */
export function chooseProtocol(protocols: readonly string[]): string | null {
  if (protocols.includes("realtime")) return "realtime";
  return protocols.find((name) => !name.startsWith("openai-")) ?? null;
}

/** The head of the answer with which the connection becomes a WebSocket. */
export function acceptance({ key }: Handshake, protocol: string | null, requestId: string): string {
  const chosen = protocol === null ? "" : `sec-websocket-protocol: ${protocol}\r\n`;
  return (
    "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\n" +
    `sec-websocket-accept: ${acceptOf(key)}\r\n${chosen}x-request-id: ${requestId}\r\n\r\n`
  );
}

/** What an engine is asked with, and how it must answer. */
export interface EngineHandshake {
  /** Names and values, flat. */
  readonly headers: readonly string[];
  readonly accept: string;
}

/** A handshake of our own, without extensions, so that frames pass as they are. */
export function engineHandshake(protocol: string | null): EngineHandshake {
  const key = randomBytes(16).toString("base64");
  const headers = ["sec-websocket-version", VERSION, "sec-websocket-key", key];
  if (protocol !== null) headers.push("sec-websocket-protocol", protocol);
  return { headers, accept: acceptOf(key) };
}

function acceptOf(key: string): string {
  return createHash("sha1").update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64");
}

/** Answers a request for a WebSocket that there will not be. Nothing more can be said on the connection. */
export function refuseUpgrade(socket: Duplex, status: number, headers: readonly string[], body: string): void {
  let head = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ""}\r\n`;
  for (let index = 0; index + 1 < headers.length; index += 2) head += `${headers[index]}: ${headers[index + 1]}\r\n`;
  socket.end(`${head}content-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`);
}
