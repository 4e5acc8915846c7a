/** What llmux's HTTP clients do when the engines are simulated: connection pools for requests, and control calls. */
import { Dispatcher } from "undici";
import { HeaderBlock } from "../../src/base/header-block.ts";
import type { HttpAnswer, HttpCall, HttpClient } from "../../src/ports/http-client.ts";
import type { VirtualClock } from "../../src/simulation/virtual-clock.ts";
import type { AnswerHead } from "./answers.ts";
import type { SimulatedEngine } from "./engine.ts";
import type { FaultBook } from "./fault-book.ts";
import { clientIdOf } from "./answers.ts";

/** Who is there. */
export interface EngineFinder {
  readonly clock: VirtualClock;
  readonly faults: FaultBook;
  /** Null when connections are refused there. */
  readonly engineAt: (port: number) => SimulatedEngine | null;
  /** How long it takes to hear that a connection is refused, in ms. */
  readonly refusedMs: number;
}

/** To open a connection on loopback, in ms. */
const CONNECT_MS = 1;

const refused = (): Error => Object.assign(new Error("connect ECONNREFUSED"), { code: "ECONNREFUSED" });
const broken = (): Error => Object.assign(new Error("other side closed"), { code: "UND_ERR_SOCKET" });
const destroyed = (): Error => Object.assign(new Error("The client is destroyed"), { code: "UND_ERR_DESTROYED" });

/** Made once: nearly all polls of a start end with it. */
const POLL_REFUSED = refused();

/** What one life of llmux has opened towards the engines. */
export class EngineConnections {
  readonly #finder: EngineFinder;
  readonly #pools = new Set<SimulatedPool>();
  #calls = 0;
  #isSevered = false;

  constructor(finder: EngineFinder) {
    this.#finder = finder;
  }

  /** Pools that are not closed, with the requests on all pools and the calls under way. */
  get open(): { readonly pools: number; readonly requests: number; readonly calls: number } {
    let requests = 0;
    for (const pool of this.#pools) requests += pool.open;
    return { pools: [...this.#pools].filter((pool) => !pool.isDestroyed).length, requests, calls: this.#calls };
  }

  /** The process that had them is gone: engines see the connections close, and nobody hears of anything. */
  sever(): void {
    this.#isSevered = true;
    for (const pool of this.#pools) pool.sever();
  }

  createPool(origin: string): SimulatedPool {
    const pool = new SimulatedPool(Number(new URL(origin).port), this.#finder);
    this.#pools.add(pool);
    if (this.#isSevered) pool.sever();
    return pool;
  }

  createHttpClient(): HttpClient & { close(): Promise<void> } {
    return { call: (call) => this.#call(call), close: () => Promise.resolve() };
  }

  #call({ method, url, json, timeoutMs, signal, over }: HttpCall): Promise<HttpAnswer> {
    if (this.#isSevered) return new Promise(() => {});
    const { clock } = this.#finder;
    this.#calls += 1;
    return new Promise<HttpAnswer>((resolve, reject) => {
      let isOver = false;
      const settle = (finish: () => void): void => {
        if (isOver || this.#isSevered) return;
        isOver = true;
        this.#calls -= 1;
        timer.run = null;
        signal?.removeEventListener("abort", onAbort);
        finish();
      };
      const onAbort = (): void => settle(() => reject(signal?.reason));
      const timer = clock.after(timeoutMs, () =>
        settle(() => reject(new DOMException("no answer in time", "TimeoutError"))),
      );
      if (signal?.aborted === true) return onAbort();
      signal?.addEventListener("abort", onAbort, { once: true });
      if (over instanceof SimulatedPool) {
        if (over.isDestroyed) return settle(() => reject(destroyed()));
        over.onDestroy.add(() => settle(() => reject(destroyed())));
      }
      const target = new URL(url);
      const engine = this.#finder.engineAt(Number(target.port));
      if (engine === null) {
        const { refusedMs } = this.#finder;
        const refuse = (): void => settle(() => reject(POLL_REFUSED));
        return refusedMs === 0 ? refuse() : void clock.after(refusedMs, refuse);
      }
      engine.control(method, target, json, (answer) =>
        settle(() => (answer === null ? reject(broken()) : resolve(answer))),
      );
    });
  }
}

/** Carries requests to one port until it is destroyed. What undici's own `request` needs is inherited. */
export class SimulatedPool extends Dispatcher {
  /** Called when it is destroyed. */
  readonly onDestroy = new Set<() => void>();
  readonly #port: number;
  readonly #finder: EngineFinder;
  readonly #requests = new Set<PooledRequest>();
  isDestroyed = false;
  #isSevered = false;

  constructor(port: number, finder: EngineFinder) {
    super();
    this.#port = port;
    this.#finder = finder;
  }

  get open(): number {
    return this.#requests.size;
  }

  override dispatch(options: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandler): boolean {
    if (this.isDestroyed) {
      handler.onResponseError?.(null as never, destroyed());
      return false;
    }
    // Whose process is gone sends nothing.
    if (this.#isSevered) return true;
    const request = new PooledRequest(options, handler, (gone) => this.#requests.delete(gone));
    this.#requests.add(request);
    this.#finder.clock.after(CONNECT_MS, () => request.connect(this.#port, this.#finder));
    return true;
  }

  override destroy(): Promise<void> {
    if (this.isDestroyed) return Promise.resolve();
    this.isDestroyed = true;
    for (const tell of this.onDestroy) tell();
    for (const request of this.#requests) request.fail(destroyed());
    return Promise.resolve();
  }

  override close(): Promise<void> {
    return this.destroy();
  }

  sever(): void {
    this.#isSevered = true;
    for (const request of this.#requests) request.sever();
  }
}

/** One request on a connection of its own, with undici's manners: nothing is told while it is paused, and one end. */
class PooledRequest implements Dispatcher.DispatchController {
  readonly #options: Dispatcher.DispatchOptions;
  readonly #handler: Dispatcher.DispatchHandler;
  readonly #onOver: (request: PooledRequest) => void;
  /** What has come while it was paused. */
  readonly #held: (() => void)[] = [];
  #cancelAtEngine: (() => void) | null = null;
  #isOver = false;
  #hasStarted = false;
  aborted = false;
  paused = false;
  reason: Error | null = null;
  rawHeaders = null;

  constructor(
    options: Dispatcher.DispatchOptions,
    handler: Dispatcher.DispatchHandler,
    onOver: (request: PooledRequest) => void,
  ) {
    this.#options = options;
    this.#handler = handler;
    this.#onOver = onOver;
  }

  connect(port: number, { engineAt, faults }: EngineFinder): void {
    if (this.#isOver) return;
    const engine = engineAt(port);
    const requestId = headerIn(this.#options.headers, "x-request-id");
    const client = clientIdOf(requestId);
    const fault = client === null || engine === null ? null : faults.ofRequest(client);
    if (engine === null || fault === "refuses the connection") return this.fail(refused());
    this.#hasStarted = true;
    this.#handler.onRequestStart?.(this, {});
    if (this.#isOver) return;
    const { path, method, body } = this.#options;
    if (client === null) {
      // Not a client's: the gateway asks how the engine is.
      engine.control(method, new URL(path, "http://engine"), undefined, (answer) => {
        if (answer === null) return this.fail(broken());
        this.onHead({ status: answer.status, headers: { "content-length": String(answer.body.length) } });
        this.onEnd();
      });
      return;
    }
    if (!Buffer.isBuffer(body)) throw new Error(`${requestId} has no body that was read whole`);
    this.#cancelAtEngine = engine.request({ path, requestId, fault, body: body.toString() }, this);
  }

  // ── what the engine sends ─────────────────────────────────────────────────────────────────────────────────────────

  onHead({ status, headers }: AnswerHead): void {
    this.#tell(() => this.#handler.onResponseStart?.(this, status, { ...headers }, ""));
  }

  onPiece(piece: Buffer): void {
    this.#tell(() => this.#handler.onResponseData?.(this, piece));
  }

  onEnd(): void {
    this.#tell(() => {
      this.#finish();
      this.#handler.onResponseEnd?.(this, {});
    });
  }

  onBroken(): void {
    this.#tell(() => this.fail(broken()));
  }

  #tell(news: () => void): void {
    if (this.#isOver) return;
    if (this.paused || this.#held.length > 0) this.#held.push(news);
    else news();
  }

  // ── what the gateway does ─────────────────────────────────────────────────────────────────────────────────────────

  pause(): void {
    this.paused = true;
  }

  resume(): void {
    this.paused = false;
    while (!this.paused && !this.#isOver && this.#held.length > 0) this.#held.shift()?.();
  }

  abort(reason: Error): void {
    this.aborted = true;
    this.reason = reason;
    this.fail(reason);
  }

  fail(error: Error): void {
    if (this.#isOver) return;
    this.#finish();
    this.#cancelAtEngine?.();
    this.#handler.onResponseError?.((this.#hasStarted ? this : null) as never, error);
  }

  sever(): void {
    if (this.#isOver) return;
    this.#finish();
    this.#cancelAtEngine?.();
  }

  #finish(): void {
    this.#isOver = true;
    this.#onOver(this);
  }
}

function headerIn(headers: Dispatcher.DispatchOptions["headers"], name: string): string {
  if (!(headers instanceof HeaderBlock)) return "";
  const { flat } = headers;
  const at = flat.indexOf(name);
  return at === -1 ? "" : String(flat[at + 1]);
}
