/**
 * Listeners without a network. The app's servers are Node's own; what is replaced, for as long as a run lasts, is the one call
 * with which they bind an address. Connections are handed to them as streams, which Node's HTTP server takes as they are.
 */
import { Server } from "node:net";
import type { VirtualClock } from "../../src/simulation/virtual-clock.ts";
import { ServerSocket, type ConnectionListener, type Tampering } from "./connection.ts";

/** One life of llmux: its listeners and their connections. */
export class Network {
  /** By `host:port`, or by path. */
  readonly #listeners = new Map<string, Server>();
  readonly #bound = new Set<Server>();
  readonly #sockets = new Set<ServerSocket>();
  readonly #clock: VirtualClock;
  /** A deliberate bug at llmux's door: what it does to each connection. */
  tamperWith: (() => Tampering) | null = null;
  readonly #taken: ReadonlySet<string>;

  /** `taken`: addresses that somebody else has. */
  constructor(clock: VirtualClock, taken: ReadonlySet<string> = new Set()) {
    this.#clock = clock;
    this.#taken = taken;
  }

  get listening(): readonly string[] {
    return [...this.#listeners.keys()];
  }

  /** Connections that the server has not let go. */
  get open(): number {
    for (const socket of this.#sockets) if (socket.destroyed) this.#sockets.delete(socket);
    return this.#sockets.size;
  }

  /** Null when nobody listens there. */
  connect(address: string, client: ConnectionListener): ServerSocket | null {
    const server = this.#listeners.get(address);
    if (server === undefined) return null;
    const socket = new ServerSocket(this.#clock, client, this.tamperWith?.() ?? null);
    this.#sockets.add(socket);
    server.emit("connection", socket);
    return socket;
  }

  /** The process that listens here is gone. */
  sever(): void {
    this.#listeners.clear();
    for (const socket of this.#sockets) socket.sever();
    this.#sockets.clear();
  }

  /** Called in the place of `server.listen`. */
  bind(server: Server, args: readonly unknown[]): void {
    const [first, second] = args;
    const { port, host } = isPlace(first) ? first : { port: first, host: second };
    const address = typeof first === "string" ? first : `${String(host)}:${String(port)}`;
    const callback = args.findLast((arg) => typeof arg === "function") as (() => void) | undefined;
    if (this.#taken.has(address) || this.#listeners.has(address)) {
      const error = Object.assign(new Error(`listen EADDRINUSE: ${address}`), { code: "EADDRINUSE" });
      queueMicrotask(() => server.emit("error", error));
      return;
    }
    this.#listeners.set(address, server);
    // What `net.Server` asks of the system's listener: with one it counts as listening, and closes it in the end.
    Reflect.set(server, "_handle", {
      close: () => this.#listeners.delete(address),
      getsockname: (out: { address?: string; port?: number; family?: string }) =>
        Object.assign(out, { address: "127.0.0.1", port: Number(port), family: "IPv4" }) && 0,
      ref() {},
      unref() {},
    });
    this.#bound.add(server);
    queueMicrotask(() => {
      server.emit("listening");
      callback?.();
    });
  }

  /** When the run is over: ends the look at slow clients that Node's HTTP server takes by true time, far more seldom than a run lasts. */
  dispose(): void {
    for (const server of this.#bound) server.close();
  }
}

/** Servers are given a port and an address, one after the other or by name. */
function isPlace(argument: unknown): argument is { readonly port: unknown; readonly host: unknown } {
  return typeof argument === "object" && argument !== null && "port" in argument && "host" in argument;
}

/** From now on all servers of this process bind in the network that `current` tells. Returns what puts an end to that. */
export function withoutSockets(current: () => Network): () => void {
  const prototype = Server.prototype;
  const original = Object.getOwnPropertyDescriptor(prototype, "listen");
  if (original === undefined) throw new Error("net.Server has no method listen");
  Object.defineProperty(prototype, "listen", {
    ...original,
    value(this: Server, ...args: unknown[]): Server {
      current().bind(this, args);
      return this;
    },
  });
  return () => Object.defineProperty(prototype, "listen", original);
}
