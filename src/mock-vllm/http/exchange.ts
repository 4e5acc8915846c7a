/** One request and its answer: reading the body, sending JSON, sending a stream, and noticing that the client has gone. */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { LoggedRequest } from "../request-log.ts";
import type { Services } from "../services.ts";
import { randomBytes } from "node:crypto";
import { ApiError, FrameworkError, invalidBody } from "./api-errors.ts";
import { findJsonMistake } from "./json-mistake.ts";
import { invalid } from "./validation.ts";

/** The largest body taken, in bytes. */
const bodyBytesMax = 512 * 2 ** 20;

/** JSON as it came in. */
export type JsonObject = Readonly<Record<string, unknown>>;

/** One request under way. */
export class Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly url: URL;
  readonly services: Services;
  /** The request's line in the log; undefined for probes and control routes. */
  logged: LoggedRequest | undefined;
  readonly #gone = new AbortController();
  readonly #id: string;
  #hasSent = false;

  constructor(request: IncomingMessage, response: ServerResponse, url: URL, services: Services) {
    this.request = request;
    this.response = response;
    this.url = url;
    this.services = services;
    const id = request.headers["x-request-id"];
    this.#id = typeof id === "string" ? id : randomId();
    response.on("close", () => {
      if (response.writableFinished) services.events.add("last byte sent", url.pathname);
      else this.#gone.abort();
    });
  }

  /** The id of an answer, behind a prefix of its route: what the client sent as X-Request-Id, or 16 hex digits. */
  get id(): string {
    return this.#id;
  }

  /** Aborted when the client goes away before the answer is complete. */
  get gone(): AbortSignal {
    return this.#gone.signal;
  }

  /** Reads the whole body; throws `ApiError` 413 beyond 512 MiB. */
  async readBody(): Promise<Buffer> {
    const chunks: Buffer[] = [];
    let bytes = 0;
    for await (const chunk of this.request as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      if (bytes > bodyBytesMax) throw new ApiError(413, "BadRequestError", "The request body is too large.");
      chunks.push(chunk);
    }
    const body = Buffer.concat(chunks);
    if (this.logged !== undefined) this.services.requests.onBody(this.logged, body);
    return body;
  }

  /** Reads the body as a JSON object; throws vLLM's 400 for anything else. */
  async readJson(): Promise<JsonObject> {
    const body = await this.readBody();
    const contentType = this.request.headers["content-type"]?.split(";")[0]?.trim().toLowerCase();
    if (this.logged !== undefined && contentType !== "application/json") {
      throw invalidBody("1 validation error:\n  Unsupported Media Type: Only 'application/json' is allowed");
    }
    const json = body.length === 0 ? null : parseJson(body);
    const fits = typeof json === "object" && !Array.isArray(json);
    if (fits && json !== null) return json as JsonObject;
    const [type, msg] =
      json === null
        ? ["missing", "Field required"]
        : ["model_attributes_type", "Input should be a valid dictionary or object to extract fields from"];
    throw invalid([{ type, loc: "body", msg, input: json }]);
  }

  /** Answers with JSON. */
  sendJson(status: number, json: unknown): void {
    this.send(status, "application/json", JSON.stringify(json));
  }

  /** Answers with a text; an empty one has no content type. */
  send(status: number, contentType: string, text: string): void {
    if (this.response.headersSent) return;
    const type = text === "" ? {} : { "content-type": contentType };
    this.response.writeHead(status, { ...this.#headers(), ...type, "content-length": Buffer.byteLength(text) });
    this.#stampFirst();
    this.response.end(text);
  }

  /** Answers 307 with another path of the same address. */
  redirect(target: string): void {
    const location = `http://${this.request.headers.host ?? ""}${target}`;
    this.response.writeHead(307, { ...this.#headers(), location, "content-length": 0 });
    this.#stampFirst();
    this.response.end();
  }

  /** Begins an event stream: the headers go out at once, as uvicorn does, even while the engine sleeps. */
  beginStream(): void {
    this.response.writeHead(200, { ...this.#headers(), "content-type": "text/event-stream; charset=utf-8" });
    this.response.flushHeaders();
    this.#stampFirst();
  }

  /** Sends one event of the stream; the event's name only where the protocol has one. */
  sendEvent(data: string, name?: string): void {
    this.response.write(name === undefined ? `data: ${data}\n\n` : `event: ${name}\ndata: ${data}\n\n`);
  }

  /** Ends the stream. */
  endStream(): void {
    this.response.end();
  }

  #headers(): Record<string, string> {
    const sentId = this.request.headers["x-request-id"];
    const id = typeof sentId === "string" ? sentId : randomBytes(16).toString("hex");
    const echo = this.services.args.requestIdHeaders ? { "x-request-id": id } : {};
    // Said here, or Node adds a Keep-Alive header with the time limit, which uvicorn does not give away.
    const staysOpen = this.request.httpVersion === "1.1" && this.request.headers.connection?.toLowerCase() !== "close";
    return { server: "uvicorn", connection: staysOpen ? "keep-alive" : "close", ...echo };
  }

  #stampFirst(): void {
    if (this.#hasSent) return;
    this.#hasSent = true;
    this.services.events.add("first byte sent", this.url.pathname);
  }
}

/** An id as vLLM makes them: 16 hex digits. */
export function randomId(): string {
  return randomBytes(8).toString("hex");
}

function parseJson(body: Buffer): unknown {
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(body);
  } catch {
    throw new FrameworkError(400, "There was an error parsing the body");
  }
  try {
    return JSON.parse(text) as unknown;
  } catch {
    const { message, at } = findJsonMistake(text) ?? { message: "Expecting value", at: 0 };
    const ctx = { error: message };
    throw invalid([{ type: "json_invalid", loc: `body.${at}`, msg: "JSON decode error", input: {}, ctx }]);
  }
}
