/** The listener for Prometheus: `GET /metrics` and nothing else. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { describeError } from "../base/failure.ts";
import type { MetricsPage } from "./metrics.ts";

/** Where to listen, and what to show. */
export interface MetricsServerOptions {
  readonly host: string;
  /** 0: a free one, for tests; the configuration's 0 means no listener at all. */
  readonly port: number;
  readonly page: () => Promise<MetricsPage>;
}

/** A request that is not complete by then is dropped. */
const REQUEST_TIMEOUT_MS = 10_000;

const CONNECTIONS_MAX = 64;

/** Listens from `listen()` to `close()`. */
export class MetricsServer {
  readonly #options: MetricsServerOptions;
  readonly #server: Server;

  constructor(options: MetricsServerOptions) {
    this.#options = options;
    const timeouts = { requestTimeout: REQUEST_TIMEOUT_MS, headersTimeout: REQUEST_TIMEOUT_MS };
    this.#server = createServer(timeouts, (request, response) => void this.#answer(request, response));
    this.#server.maxConnections = CONNECTIONS_MAX;
  }

  /** Resolves with the port. Rejects with a sentence when the port is taken. */
  listen(): Promise<number> {
    const { host, port } = this.#options;
    return new Promise((resolve, reject) => {
      this.#server.once("error", (error: NodeJS.ErrnoException) => {
        if (error.code !== "EADDRINUSE") {
          const reason = `the metrics cannot be had on ${host}:${port}: ${describeError(error)}`;
          return reject(new Error(reason));
        }
        const advice = "choose another metrics_port, or 0 for none";
        return reject(new Error(`the metrics port ${port} on ${host} is in use: ${advice}`));
      });
      this.#server.listen(port, host, () => {
        this.#server.removeAllListeners("error");
        // A connection that cannot be accepted, for want of file descriptors, is that client's loss and no more.
        this.#server.on("error", () => {});
        resolve((this.#server.address() as AddressInfo).port);
      });
    });
  }

  /** Stops listening, and ends the connections that there are. */
  async close(): Promise<void> {
    if (!this.#server.listening) return;
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#server.closeAllConnections();
    await closed;
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    request.resume();
    const path = (request.url ?? "").split("?", 1)[0];
    const readable = request.method === "GET" || request.method === "HEAD";
    if (path !== "/metrics" || !readable)
      return send(response, 404, "text/plain", "There is only GET /metrics here.\n");
    try {
      const { contentType, body } = await this.#options.page();
      return send(response, 200, contentType, body);
    } catch {
      return send(response, 500, "text/plain", "The metrics could not be collected.\n");
    }
  }
}

function send(response: ServerResponse, status: number, contentType: string, body: string): void {
  response.writeHead(status, { "content-type": contentType, "content-length": Buffer.byteLength(body) });
  response.end(body);
}
