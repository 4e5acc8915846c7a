/** Listens for HTTP/1.1, with or without TLS, and keeps the connections. */
import { createServer, type Server, type Socket } from "node:net";
import { createServer as createTlsServer, type Server as TlsServer, type TlsOptions, type TLSSocket } from "node:tls";
import type { Duplex } from "node:stream";
import { Chain } from "../../base/chain.ts";
import { TLS_VERSION_MIN } from "../../base/tls-identity.ts";
import type { Clock, TimerHandle } from "../../ports/clock.ts";
import type { ConnectionHost, ConnectionLimits } from "./connection-host.ts";
import { HttpConnection } from "./http-connection.ts";

/** In bytes and ms. */
export interface HttpLimits {
  /** All headers of a request, with its first line; then 431. */
  readonly headerBytesMax: number;
  /** From the opening of a connection, or the first byte of another request, to the end of its headers; then 408. */
  readonly headersTimeoutMs: number;
  /** From there to the end of the body; then 408. */
  readonly requestTimeoutMs: number;
  /** How often the two are looked at: they are kept to within two of these. */
  readonly timeoutCheckMs: number;
  /** How long a connection may lie idle between two requests. */
  readonly keepAliveTimeoutMs: number;
}

/** Who takes the requests, and what is said to those that are none. */
export type HttpHandlers = Pick<ConnectionHost, "refusalOf" | "onRequest" | "takesOver" | "onTakenOver" | "onBug">;

/** What a listener is made of. */
export interface HttpListenerOptions {
  readonly limits: HttpLimits;
  readonly clock: Clock;
  readonly speaksTls: boolean;
  readonly handlers: HttpHandlers;
}

/** A client that waits minutes for its model and vanishes without a word is noticed by this alone. */
const PROBE_AFTER_MS = 60_000;

/** One listener; `server` is for those who bind it, count its connections or renew its identity. */
export class HttpListener {
  readonly server: Server | TlsServer;
  readonly #connections = new Chain<HttpConnection>();
  /** With TLS: the sockets below, which are there before the handshake. */
  readonly #below = new Set<Socket>();
  readonly #host: HostState;
  readonly #clock: Clock;
  readonly #lookEveryMs: number;
  #timer: TimerHandle | null = null;

  constructor({ limits, clock, speaksTls, handlers }: HttpListenerOptions) {
    this.#clock = clock;
    this.#lookEveryMs = limits.timeoutCheckMs;
    this.#host = {
      ...handlers,
      limits: inLooks(limits),
      looks: 0,
      isEnding: false,
      epochMs: () => clock.epochMs(),
      after: (delayMs, fire) => clock.after(delayMs, fire),
      onGone: (connection) => this.#onGone(connection),
    };
    const options = {
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: PROBE_AFTER_MS,
      // The end of what a client sends and the end of the connection are two things.
      allowHalfOpen: true,
    };
    if (speaksTls) {
      const tls: TlsOptions = {
        ...options,
        minVersion: TLS_VERSION_MIN,
        handshakeTimeout: limits.headersTimeoutMs,
        ALPNProtocols: ["http/1.1"],
      };
      this.server = createTlsServer(tls, (socket: TLSSocket) => this.#onConnection(socket));
      this.server.on("tlsClientError", (_error, socket) => socket.destroy());
      this.server.on("connection", (socket: Socket) => this.#onBelow(socket));
    } else {
      this.server = createServer(options, (socket: Socket) => this.#onConnection(socket));
    }
  }

  /** Closes the connections on which no request is being received or answered, and from now on each as soon as that is so. */
  closeIdle(): void {
    this.#host.isEnding = true;
    for (const connection of this.#connections) if (connection.isIdle) connection.destroy();
    this.#rest();
  }

  /** Breaks all connections, and those that are still about to become one. */
  closeAll(): void {
    this.#host.isEnding = true;
    for (const connection of this.#connections) connection.destroy();
    for (const socket of this.#below) socket.destroy();
    this.#rest();
  }

  #onBelow(socket: Socket): void {
    this.#below.add(socket);
    socket.once("close", () => this.#below.delete(socket));
  }

  #onConnection(socket: Duplex): void {
    this.#connections.add(new HttpConnection(this.#host, socket));
    this.#timer ??= this.#clock.after(this.#lookEveryMs, () => this.#look());
  }

  #look(): void {
    this.#timer = null;
    this.#host.looks += 1;
    for (const connection of this.#connections) connection.look();
    if (this.#connections.size > 0) this.#timer = this.#clock.after(this.#lookEveryMs, () => this.#look());
  }

  #onGone(connection: HttpConnection): void {
    this.#connections.remove(connection);
    this.#rest();
  }

  /** While it listens, the next connection comes soon, and would need the timer again. */
  #rest(): void {
    if (this.#connections.size > 0 || this.server.listening) return;
    this.#timer?.cancel();
    this.#timer = null;
  }
}

type HostState = { looks: number; isEnding: boolean } & ConnectionHost;

/** The first look may come right after a wait has begun, so one more is needed for a full time. */
function inLooks(limits: HttpLimits): ConnectionLimits {
  const looks = (ms: number): number => Math.ceil(ms / limits.timeoutCheckMs);
  return {
    headerBytesMax: limits.headerBytesMax,
    headersLooks: looks(limits.headersTimeoutMs),
    requestLooks: looks(limits.requestTimeoutMs),
    keepAliveLooks: looks(limits.keepAliveTimeoutMs),
    keepAliveTimeoutMs: limits.keepAliveTimeoutMs,
  };
}
