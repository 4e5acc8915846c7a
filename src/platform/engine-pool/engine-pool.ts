/** The connections to one engine for one of its lives. */
import { performance } from "node:perf_hooks";
import { Dispatcher, errors, Pool } from "undici";
import { HeaderBlock } from "../../base/header-block.ts";
import { EngineWire, type EngineAddress, type WireOwner } from "./engine-wire.ts";
import { PooledRequest, tellError } from "./pooled-request.ts";
import { requestBytes } from "./request-head.ts";

/**
 * vLLM's server closes a connection after 5 s without use (uvicorn's default). Ours leave the pool before that, so that no
 * request goes out on a connection that is being closed.
 */
const KEEP_ALIVE_MS = 4_000;

/**
 * The pool for one engine's life. Deadlines are the caller's: a first token may take minutes. `headers`, names and values, flat, are
 * added to each request.
 */
export function createEnginePool(origin: string, headers: readonly string[] = []): EnginePool {
  return new EnginePool(origin, headers);
}

/**
 * Carries requests over plain TCP itself, on as many connections as they need, the one used last first. What it does not do (TLS,
 * another protocol on the same connection, bodies that are streams) it leaves to a pool of undici's.
 */
export class EnginePool extends Dispatcher implements WireOwner {
  readonly #origin: string;
  readonly #headers: HeaderBlock;
  readonly #host: string;
  /** Null where plain TCP is not enough. */
  readonly #address: EngineAddress | null;
  readonly #wires = new Set<EngineWire>();
  /** The one used last comes last. */
  #idle: EngineWire[] = [];
  #idleTimer: NodeJS.Timeout | null = null;
  #undici: Pool | null = null;
  #isClosed = false;
  #isDestroyed = false;
  readonly #onAllGone: (() => void)[] = [];

  constructor(origin: string, headers: readonly string[]) {
    super();
    const { protocol, host, hostname, port } = new URL(origin);
    this.#origin = origin;
    this.#headers = new HeaderBlock(headers);
    this.#host = host;
    this.#address =
      protocol === "http:"
        ? { host: hostname.replace(/^\[(.*)\]$/, "$1"), port: port === "" ? 80 : Number(port) }
        : null;
  }

  override dispatch(options: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandler): boolean {
    if (this.#isDestroyed) return refuse(handler, new errors.ClientDestroyedError());
    if (this.#isClosed) return refuse(handler, new errors.ClientClosedError());
    const bytes = this.#address === null ? null : requestBytes(options, this.#host, this.#headers);
    if (this.#address === null || bytes === null) return this.#dispatchByUndici(options, handler);
    const wire = this.#takeIdle() ?? this.#open(this.#address);
    wire.carry(new PooledRequest(bytes, handler));
    return true;
  }

  /** Lets what is under way come to its end. */
  override async close(): Promise<void> {
    this.#isClosed = true;
    for (const wire of this.#idle.splice(0)) wire.destroy(new errors.ClientClosedError());
    await Promise.all([this.#untilAllGone(), this.#undici?.close()]);
    await this.destroy();
  }

  /** Closes all connections before it returns. Handlers of what is under way hear of it. */
  override async destroy(): Promise<void> {
    this.#isDestroyed = true;
    if (this.#idleTimer !== null) clearTimeout(this.#idleTimer);
    this.#idleTimer = null;
    this.#idle = [];
    for (const wire of this.#wires) wire.destroy(new errors.ClientDestroyedError());
    await Promise.all([this.#untilAllGone(), this.#undici?.destroy()]);
  }

  #untilAllGone(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    if (this.#wires.size === 0) resolve();
    else this.#onAllGone.push(resolve);
    return promise;
  }

  // ── connections ───────────────────────────────────────────────────────────────────────────────────────────────────

  #open(address: EngineAddress): EngineWire {
    const wire = new EngineWire(address, this);
    this.#wires.add(wire);
    return wire;
  }

  #takeIdle(): EngineWire | null {
    if (this.#idle.length === 0) return null;
    const nowMs = performance.now();
    for (let wire = this.#idle.pop(); wire !== undefined; wire = this.#idle.pop()) {
      // The timer is late where the program is busy.
      if (wire.idleUntilMs > nowMs) return wire;
      wire.destroy(new errors.InformationalError("socket idle timeout"));
    }
    return null;
  }

  onIdle(wire: EngineWire, keptMs: number): void {
    if (this.#isClosed || this.#isDestroyed) return wire.destroy(new errors.ClientClosedError());
    wire.idleUntilMs = performance.now() + Math.min(keptMs, KEEP_ALIVE_MS);
    this.#idle.push(wire);
    this.#idleTimer ??= this.#timer(Math.min(keptMs, KEEP_ALIVE_MS));
  }

  onGone(wire: EngineWire): void {
    this.#wires.delete(wire);
    const index = this.#idle.lastIndexOf(wire);
    if (index !== -1) this.#idle.splice(index, 1);
    if (this.#wires.size === 0) for (const tell of this.#onAllGone.splice(0)) tell();
  }

  /** One for all idle connections, and it is not set again while they come and go. */
  #timer(inMs: number): NodeJS.Timeout {
    return setTimeout(() => {
      const nowMs = performance.now();
      let nextMs = Infinity;
      const all = this.#idle;
      this.#idle = all.filter(({ idleUntilMs }) => idleUntilMs > nowMs);
      for (const wire of all) {
        if (wire.idleUntilMs > nowMs) nextMs = Math.min(nextMs, wire.idleUntilMs);
        else wire.destroy(new errors.InformationalError("socket idle timeout"));
      }
      this.#idleTimer = this.#idle.length === 0 ? null : this.#timer(nextMs - nowMs);
    }, inMs).unref();
  }

  // ── what is not done here ─────────────────────────────────────────────────────────────────────────────────────────

  #dispatchByUndici(options: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandler): boolean {
    this.#undici ??= createUndiciPool(this.#origin);
    if (this.#headers.flat.length === 0) return this.#undici.dispatch(options, handler);
    return this.#undici.dispatch({ ...options, headers: withHeaders(options.headers, this.#headers.flat) }, handler);
  }
}

function refuse(handler: Dispatcher.DispatchHandler, error: Error): boolean {
  if (typeof handler.onResponseError !== "function") throw error;
  tellError(handler, null, error);
  return false;
}

function withHeaders(headers: Dispatcher.DispatchOptions["headers"], more: readonly string[]): string[] {
  const flat: string[] = [];
  if (Array.isArray(headers)) flat.push(...headers);
  else if (headers instanceof HeaderBlock) flat.push(...headers.flat);
  else
    for (const [name, value] of Object.entries(headers ?? {})) {
      for (const one of [value ?? []].flat()) flat.push(name, String(one));
    }
  return flat.concat(more);
}

function createUndiciPool(origin: string): Pool {
  return new Pool(origin, {
    connections: null,
    pipelining: 1,
    keepAliveTimeout: KEEP_ALIVE_MS,
    keepAliveMaxTimeout: KEEP_ALIVE_MS,
    headersTimeout: 0,
    bodyTimeout: 0,
    connect: { timeout: 5_000 },
  });
}
