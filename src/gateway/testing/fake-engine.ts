/** A small HTTP server in the place of an engine: it records what it gets and answers as a test tells it to. */
import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from "node:http";
import type { AddressInfo, Socket } from "node:net";
import type { Duplex } from "node:stream";
import { Pool } from "undici";
import { createEnginePool } from "../../platform/engine-pool/engine-pool.ts";
import type { EngineConnection, EngineHealth } from "../../ports/engine-directory.ts";

/** One request as the engine got it. */
export interface ReceivedRequest {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

/** Answers one request. */
export type EngineHandler = (response: ServerResponse, received: ReceivedRequest, request: IncomingMessage) => void;

/** It keeps its port from one life to the next; each life has a connection pool of its own. */
export class FakeEngine {
  readonly received: ReceivedRequest[] = [];
  handler: EngineHandler = (response, received) => {
    response.setHeader("content-type", "application/json");
    response.end(received.body);
  };
  lives = 0;
  /** What it says of its health; who asks is not recorded. */
  healthStatus = 200;
  /** How many connections the pool of the next life may have; null: as many as it needs. */
  connectionsMax: number | null = null;
  /** Set, it gets those who ask for a WebSocket. */
  upgradeHandler: ((request: IncomingMessage, socket: Duplex) => void) | null = null;
  readonly sockets = new Set<Socket>();
  /** Those that have been asked for and have not ended. */
  openResponses: readonly ServerResponse[] = [];
  #server: Server | null = null;
  #port = 0;
  #connection: EngineConnection | null = null;
  #isDestroyed = false;

  get connection(): EngineConnection | null {
    return this.#connection;
  }

  /** Does nothing when it was destroyed, before or meanwhile. */
  async start(): Promise<void> {
    if (this.#isDestroyed) return;
    const server = createServer((request, response) => this.#onRequest(request, response));
    server.keepAliveTimeout = 0;
    if (this.upgradeHandler !== null) {
      server.on("upgrade", (request, socket) => this.upgradeHandler?.(request, socket));
    }
    server.on("connection", (socket) => {
      this.sockets.add(socket);
      socket.on("close", () => this.sockets.delete(socket));
    });
    await new Promise<void>((resolve) => {
      server.listen(this.#port, "127.0.0.1", resolve);
    });
    if (this.#isDestroyed) return void server.close();
    this.#port = (server.address() as AddressInfo).port;
    this.#server = server;
    this.lives += 1;
    const origin = `http://127.0.0.1:${this.#port}`;
    const connections = this.connectionsMax;
    this.#connection = {
      origin,
      dispatcher: connections === null ? createEnginePool(origin) : new Pool(origin, { connections }),
      health: () => this.#health(origin),
    };
  }

  /** What a `kill -9` does: nothing listens any more, and every connection is reset. */
  die(): void {
    this.#server?.close();
    this.#server = null;
    for (const socket of this.sockets) socket.resetAndDestroy();
  }

  /** What the owner of the pool does when it hears of the end. */
  forget(): void {
    const dispatcher = this.#connection?.dispatcher;
    this.#connection = null;
    void dispatcher?.destroy();
  }

  /** Its last life is over: what a test leads to at its end may be its model's turn, and would keep the process from ending. */
  destroy(): void {
    this.#isDestroyed = true;
    this.die();
    this.forget();
  }

  async #health(origin: string): Promise<EngineHealth> {
    const response = await fetch(`${origin}/health`).catch(() => null);
    return response?.status === 200 ? "well" : "unwell";
  }

  #onRequest(request: IncomingMessage, response: ServerResponse): void {
    if (request.url === "/health") {
      response.statusCode = this.healthStatus;
      response.end();
      return;
    }
    const chunks: Buffer[] = [];
    this.openResponses = [...this.openResponses, response];
    response.on("close", () => {
      this.openResponses = this.openResponses.filter((one) => one !== response);
    });
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const { method = "", url = "", headers } = request;
      const received: ReceivedRequest = { method, url, headers, body: Buffer.concat(chunks) };
      this.received.push(received);
      this.handler(response, received, request);
    });
  }
}
