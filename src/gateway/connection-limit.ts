/**
 * How many connections there may be. Whoever comes above that is answered with 503 as soon as the request is there, and the
 * connection is closed. Those that are to be told so are few: whoever comes above them too is dropped without a word.
 */
import type { Server } from "node:net";
import type { Duplex } from "node:stream";
import type { Server as TlsServer } from "node:tls";
import type { Clock } from "../ports/clock.ts";
import type { Count } from "./commons.ts";

/** How many may be told at a time that they are too many. */
const TOLD_MAX = 64;

/** How long one of those may take to send a request and read the answer, in ms. */
const TOLD_WITHIN_MS = 5_000;

/** Counts the connections of one server, and perhaps of others. */
export class ConnectionLimit {
  readonly #max: number;
  readonly #clock: Clock;
  readonly #surplus = new WeakSet<Duplex>();
  readonly #count: Count;

  /** `max` ≥ 1. */
  constructor(server: Server | TlsServer, max: number, clock: Clock, count: Count) {
    this.#max = max;
    this.#clock = clock;
    this.#count = count;
    server.maxConnections = max + TOLD_MAX;
    server.on("connection", (socket: Duplex) => this.#onOpened(socket));
    // What speaks HTTP is the socket inside, which is there only after the handshake.
    server.on("secureConnection", (socket: Duplex) => this.#judge(socket));
  }

  /** Whether a connection is one too many. Its request should be refused. */
  isSurplus(socket: Duplex): boolean {
    return this.#surplus.has(socket);
  }

  #onOpened(socket: Duplex): void {
    this.#count.add();
    let counts = true;
    const leave = (): void => {
      if (counts) this.#count.remove();
      counts = false;
    };
    // Once llmux has said its last word on it, its client may come again at once. (With TLS, this socket never says one.) What is left
    // of it for a moment is still among those of `maxConnections`.
    // Not `once`, which makes two more closures of each; they are there as long as the connection.
    socket.on("finish", leave);
    socket.on("close", leave);
    // The server itself knows of its own connections only.
    if (this.#count.value > this.#max + TOLD_MAX) socket.destroy();
    else this.#judge(socket);
  }

  #judge(socket: Duplex): void {
    if (this.#count.value <= this.#max) return;
    this.#surplus.add(socket);
    const timer = this.#clock.after(TOLD_WITHIN_MS, () => socket.destroy());
    socket.once("close", () => timer.cancel());
  }
}
