/**
 * The listener beside the gateway's: `GET /metrics` for Prometheus. With a key for operators there is all that they can ask as well,
 * and then nothing without that key, `/metrics` included. Without one nobody is asked, and there are only the metrics: what changes
 * something is never open to whoever can reach a port, not even on loopback, where other users are, and the web pages of a browser.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createTlsServer, type Server as TlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { KeyLookup } from "../base/api-key.ts";
import { describeError } from "../base/failure.ts";
import { TLS_VERSION_MIN, type TlsIdentity } from "../base/tls-identity.ts";
import type { MetricsPage } from "./metrics.ts";
import { answerOperator, operatorError, type OperatorAnswer, type OperatorDesk } from "./operator-routes.ts";

/** Where to listen, and what to show. */
export interface MetricsServerOptions {
  readonly host: string;
  /** 0: a free one, for tests; the configuration's 0 means no listener at all. */
  readonly port: number;
  readonly page: () => Promise<MetricsPage>;
  /** What operators are answered with, and the hash of the key that they show; null: only the metrics, for anybody. */
  readonly operators?: { readonly keyHash: string; readonly desk: OperatorDesk } | null;
  /** With it, only TLS is spoken. Called by `listen`, which rejects with what it throws. */
  readonly tls?: () => TlsIdentity;
}

/** A request that is not complete by then is dropped. */
const REQUEST_TIMEOUT_MS = 10_000;

const CONNECTIONS_MAX = 64;

/** Listens from `listen()` to `close()`. */
export class MetricsServer {
  readonly #options: MetricsServerOptions;
  readonly #server: Server | TlsServer;
  readonly #keys: KeyLookup<true> | null;

  constructor(options: MetricsServerOptions) {
    this.#options = options;
    const { operators = null, tls } = options;
    this.#keys = operators === null ? null : new KeyLookup([[operators.keyHash, true]]);
    const timeouts = { requestTimeout: REQUEST_TIMEOUT_MS, headersTimeout: REQUEST_TIMEOUT_MS };
    const tlsOptions = { ...timeouts, minVersion: TLS_VERSION_MIN, handshakeTimeout: REQUEST_TIMEOUT_MS } as const;
    this.#server = tls === undefined ? createServer(timeouts) : createTlsServer(tlsOptions);
    this.#server.on("request", (request: IncomingMessage, response: ServerResponse) => {
      void this.#answer(request, response);
    });
    this.#server.maxConnections = CONNECTIONS_MAX;
  }

  /** Resolves with the port. Rejects with a sentence when the port is taken. */
  async listen(): Promise<number> {
    const { host, port, tls } = this.#options;
    if (tls !== undefined) this.renewTls(tls());
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

  /** From now on, new connections are shown this. */
  renewTls({ cert, key }: TlsIdentity): void {
    if ("setSecureContext" in this.#server) this.#server.setSecureContext({ cert, key, minVersion: TLS_VERSION_MIN });
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
    const { method = "", url = "" } = request;
    const { operators = null } = this.#options;
    if (!this.#knows(request)) {
      response.setHeader("www-authenticate", "Bearer");
      const message = "Send the operators' key as `Authorization: Bearer KEY`.";
      return sendJson(response, operatorError(401, "invalid_api_key", message));
    }
    const isMetrics = url.split("?", 1)[0] === "/metrics" && (method === "GET" || method === "HEAD");
    if (!isMetrics && operators !== null) return sendJson(response, answerOperator(operators.desk, method, url));
    if (!isMetrics) return send(response, 404, "text/plain", "There is only GET /metrics here; admin_key adds more.\n");
    try {
      const { contentType, body } = await this.#options.page();
      return send(response, 200, contentType, body);
    } catch {
      return send(response, 500, "text/plain", "The metrics could not be collected.\n");
    }
  }

  /** Whether the request shows the key, if there is one. */
  #knows({ headers }: IncomingMessage): boolean {
    if (this.#keys === null) return true;
    const bearer = /^bearer +(\S+) *$/i.exec(headers.authorization ?? "")?.[1];
    const presented = bearer ?? headers["x-api-key"];
    return typeof presented === "string" && this.#keys.find(presented) === true;
  }
}

function sendJson(response: ServerResponse, { status, document }: OperatorAnswer): void {
  send(response, status, "application/json", `${JSON.stringify(document)}\n`);
}

function send(response: ServerResponse, status: number, contentType: string, body: string): void {
  response.writeHead(status, { "content-type": contentType, "content-length": Buffer.byteLength(body) });
  response.end(body);
}
