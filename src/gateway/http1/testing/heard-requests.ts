/** What a server makes of the bytes of a connection: ours, and Node's own. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { setImmediate as nextTurn } from "node:timers/promises";
import type { ConnectionHost, Refusal } from "../connection-host.ts";
import { HttpConnection } from "../http-connection.ts";
import type { HttpRequest } from "../http-request.ts";
import type { HttpResponse } from "../http-response.ts";
import { MemorySocket } from "./memory-socket.ts";

/** One request. */
export interface HeardRequest {
  readonly method: string;
  readonly url: string;
  readonly version: string;
  /** Names in small letters, and values, flat. */
  readonly headers: readonly string[];
  body: string;
  isWhole: boolean;
}

/** A connection's requests, in their order. */
export interface Heard {
  readonly requests: HeardRequest[];
  /** What was wrong with the bytes, if the server found something to be wrong. */
  fault: string | null;
}

/** Ours; each request is answered when it has come whole. */
export function hear(pieces: readonly Buffer[]): Heard {
  const heard: Heard = { requests: [], fault: null };
  const socket = new MemorySocket();
  const connection = new HttpConnection(hostFor(heard), socket);
  for (const piece of pieces) connection.socket.push(Buffer.from(piece));
  return heard;
}

/** A request behind another one is begun when that one's answer has gone out, a turn of the event loop later, or two. */
const QUIET_TURNS = 3;

/** Resolves when all has been answered that is going to be. */
export async function allHeard(...all: readonly Heard[]): Promise<void> {
  const count = (): number => all.reduce((sum, { requests }) => sum + requests.length, 0);
  for (let quiet = 0; quiet < QUIET_TURNS; quiet += 1) {
    const before = count();
    await nextTurn();
    if (count() !== before) quiet = -1;
  }
}

function hostFor(heard: Heard): ConnectionHost {
  return {
    limits: { headerBytesMax: 16_384, headersLooks: 9, requestLooks: 9, keepAliveLooks: 9, keepAliveTimeoutMs: 9_000 },
    looks: 0,
    isEnding: false,
    epochMs: () => 0,
    after: () => ({ cancel() {} }),
    refusalOf: (reason) => refuse(heard, reason),
    onRequest: (request, response) => answer(heard, request, response),
    takesOver: () => false,
    onTakenOver() {},
    onBug(error) {
      throw error;
    },
    onGone() {},
  };
}

function refuse(heard: Heard, reason: Refusal): string {
  heard.fault = reason;
  return "";
}

function answer(heard: Heard, request: HttpRequest, response: HttpResponse): void {
  const { method, url, httpVersion: version, rawHeaders: headers } = request.head;
  const one: HeardRequest = { method, url, version, headers, body: "", isWhole: false };
  heard.requests.push(one);
  response.ownBy({
    onDrain() {},
    onUnsent() {},
    refusalOf: (reason) => refuse(heard, reason),
    onClosed() {},
  });
  request.take({
    onData(data) {
      one.body += data.toString("latin1");
    },
    onEnd() {
      one.isWhole = true;
      response.writeHead(200, ["content-length", "0"]);
      response.end();
    },
  });
}

/** Node's, as it is if nobody changes anything; but a missing `Host` is not its affair. */
export class NodeServer {
  readonly #server: Server;
  readonly #heard = new WeakMap<object, Heard>();

  constructor() {
    this.#server = createServer({ requireHostHeader: false, shouldUpgradeCallback: () => false });
    const onRequest = (request: IncomingMessage, response: ServerResponse): void => this.#onRequest(request, response);
    this.#server.on("request", onRequest);
    this.#server.on("checkExpectation", onRequest);
    this.#server.on("clientError", (error: Error & { code?: string }, socket) => {
      const heard = this.#heard.get(socket);
      if (heard !== undefined) heard.fault ??= error.code ?? error.message;
      socket.destroy();
    });
  }

  hear(pieces: readonly Buffer[]): Heard {
    const heard: Heard = { requests: [], fault: null };
    const socket = new MemorySocket();
    this.#heard.set(socket, heard);
    this.#server.emit("connection", socket);
    for (const piece of pieces) socket.say(piece);
    return heard;
  }

  #onRequest(request: IncomingMessage, response: ServerResponse): void {
    const { method = "", url = "", httpVersion: version, rawHeaders } = request;
    const all = rawHeaders.map((text, index) => (index % 2 === 0 ? text.toLowerCase() : text));
    const headers = all.filter((_, index) => all[index - (index % 2)] !== "content-length");
    const one: HeardRequest = { method, url, version, headers, body: "", isWhole: false };
    this.#heard.get(request.socket)?.requests.push(one);
    // What it would give to readers is looked at as it comes: a fault behind the request would take it away again.
    request.push = (data: Buffer | null): boolean => {
      if (data !== null) one.body += data.toString("latin1");
      else {
        one.isWhole = true;
        response.end();
      }
      return true;
    };
  }
}
