/** The OpenAI-compatible face of llmux: one HTTP listener before all models. */
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { Chain } from "../base/chain.ts";
import { describeError } from "../base/failure.ts";
import { TLS_VERSION_MIN, type TlsIdentity } from "../base/tls-identity.ts";
import { collectWrites } from "../base/turn-writer.ts";
import type { AccessRecord } from "../ports/access-record.ts";
import type { Clock } from "../ports/clock.ts";
import { headRefusal } from "./client-error.ts";
import { OwnCount, type Commons } from "./commons.ts";
import { Doorkeeper, type ApiKey } from "./doorkeeper.ts";
import { ConnectionLimit } from "./connection-limit.ts";
import type { ExchangeHouse, OpenRequest } from "./exchange-house.ts";
import type { EngineStates } from "./engine-states.ts";
import { Exchange } from "./exchange.ts";
import { LateWork } from "./late-work.ts";
import type { LeaseDesk } from "./lease-desk.ts";
import { Heart } from "./heart.ts";
import type { Refusal } from "./http1/connection-host.ts";
import { HttpListener } from "./http1/http-listener.ts";
import type { HttpRequest } from "./http1/http-request.ts";
import type { HttpResponse } from "./http1/http-response.ts";
import { MadeResponses } from "./made-responses.ts";
import { RealtimeSession } from "./realtime-session.ts";
import { REALTIME_PATH, splitTarget } from "./routes.ts";
import { Surge } from "./surge.ts";
import { isWebSocket } from "./web-socket-handshake.ts";
import { Models, type GatewayModel } from "./models.ts";

/** What a gateway is made of. */
export interface GatewayOptions {
  readonly models: readonly GatewayModel[];
  /** Who may come in; without any, everybody may. */
  readonly apiKeys?: readonly ApiKey[];
  /** The hash of the operators' key, for what only they may ask; null: nobody may. */
  readonly adminKeyHash?: string | null;
  readonly desk: LeaseDesk;
  readonly clock: Clock;
  readonly snapshot: () => EngineStates;
  /** A larger request body is refused with 413. */
  readonly bodyBytesMax: number;
  /** Where large request bodies are written to; the system's folder for temporary files unless given. */
  readonly spoolFolder?: string;
  /** Called once for each request, when it is over. */
  readonly onAccess: (record: AccessRecord) => void;
  /** There were thousands of requests in progress, and nearly all of them are over. */
  readonly onSurgeOver?: () => void;
  /** Something is wrong with llmux itself; the request has been answered with 500, and the gateway goes on. */
  readonly onBug: (error: unknown) => void;
  /** Where the defaults do not suit. */
  readonly limits?: Partial<GatewayLimits>;
  /** With it, only TLS is spoken. Called when the gateway begins to listen; what it throws, `listen` rejects with. */
  readonly tls?: () => TlsIdentity;
  /** With it, this is one of several gateways, which listen on the same address together. */
  readonly commons?: Commons;
}

/** How many clients there may be, how long they may take, in ms, and what is kept of them in memory. */
export interface GatewayLimits {
  /** Connections above this are told 503. */
  readonly connectionsMax: number;
  /** All headers of a request together; then 431. */
  readonly headerBytesMax: number;
  /** A larger request body is kept on disk. */
  readonly memoryBytesMax: number;
  /** From the first byte of a request to the end of its headers; then 408. */
  readonly headersTimeoutMs: number;
  /** From the first byte of a request to the end of its body; then 408. It does not limit the answer. */
  readonly requestTimeoutMs: number;
  /** How often the two are looked at: they are kept to within this. */
  readonly timeoutCheckMs: number;
  /** How long a connection may lie idle between two requests. */
  readonly keepAliveTimeoutMs: number;
  /** How long a client may read nothing while there is something to read; then its connection goes. */
  readonly stallTimeoutMs: number;
  /** How long a client of an event stream hears nothing while its model loads; null: to the end of the wait. */
  readonly heartbeatMs: number | null;
  /** How long a request that could not reach its engine waits for the news that it has crashed; then 502. */
  readonly crashNoticeMs: number;
}

const DEFAULT_LIMITS: GatewayLimits = {
  // A waiting request costs some KB, so this many cost little; each one that is served needs a second file descriptor.
  connectionsMax: 16_384,
  headerBytesMax: 16_384,
  // A conversation of 200,000 tokens still fits; pictures and sounds do not, and they may wait long for their model.
  memoryBytesMax: 1024 * 1024,
  // Headers come in one packet or two; half a minute forgives a bad network and costs a slow attacker his sockets.
  headersTimeoutMs: 30_000,
  // 32 MB, a large conversation with pictures, in five minutes is 0.9 Mbit/s: slower uplinks are hardly ones to keep.
  requestTimeoutMs: 300_000,
  timeoutCheckMs: 5_000,
  // Longer than the 60 s after which the usual load balancers give up an idle connection: it is theirs to close it, or
  // their next request would race with our close.
  keepAliveTimeoutMs: 75_000,
  // Long enough for a laptop that changes its network; short enough for those who wait for the GPU meanwhile.
  stallTimeoutMs: 120_000,
  // Proxies cut after 60 to 120 s of silence; some people's after 30.
  heartbeatMs: 15_000,
  // The end of a process is known in milliseconds; an API server that outlives its engine needs a moment to end itself: up to
  // 4.8 s were seen with vLLM 0.32 on a busy CPU.
  crashNoticeMs: 15_000,
};

/** A gateway. */
export interface Gateway {
  /** Starts to listen. Rejects with an error that names the address when that is not possible. */
  listen(host: string, port: number): Promise<AddressInfo>;
  /**
   * Takes no more connections and closes the idle ones; resolves when the address is free. Running answers go on, and
   * each is the last one of its connection.
   */
  stopAccepting(): Promise<void>;
  /** From now on, new connections are shown this. Throws if it is none. */
  renewTls(identity: TlsIdentity): void;
  /** Resolves when no request is in progress, at once if none is. */
  idle(): Promise<void>;
  /** To be called before anybody looks at what requests leave behind: leases, counts, records. */
  catchUp(): void;
  /** When the oldest request that is in progress arrived, in ms since 1970; null while none is. */
  oldestArrivalEpochMs(): number | null;
  /** Breaks every connection, and stops accepting if that has not been done. */
  destroy(): void;
}

/** Makes a gateway; it does not listen yet. */
export function createGateway(options: GatewayOptions): Gateway {
  return new HttpGateway(options);
}

/** The listener and the requests in progress. */
class HttpGateway implements Gateway {
  readonly #listener: HttpListener;
  readonly #house: ExchangeHouse;
  readonly #connections: ConnectionLimit;
  readonly #identity: (() => TlsIdentity) | null;
  readonly #open = new Chain<OpenRequest>();
  readonly #surge: Surge;
  #onIdle: (() => void)[] = [];
  readonly #isOneOfMany: boolean;
  readonly #onAccess: (record: AccessRecord) => void;
  #isStopping = false;

  constructor(options: GatewayOptions) {
    const limits = { ...DEFAULT_LIMITS, ...options.limits };
    this.#onAccess = options.onAccess;
    const { clock, models, apiKeys = [], adminKeyHash = null, desk, commons } = options;
    const countsOf = commons === undefined ? {} : { countsOf: commons.keyCountsOf };
    this.#house = {
      doorkeeper: new Doorkeeper({ keys: apiKeys, adminKeyHash, models, clock, ...countsOf }),
      models: new Models(models),
      desk,
      clock,
      snapshot: options.snapshot,
      heart: new Heart({
        clock,
        intervalMs: limits.heartbeatMs,
        snapshot: options.snapshot,
        look:
          commons?.lookAtQueues ??
          ((done) => done({ progressOf: (model) => desk.progressOf(model), positions: desk.positions() })),
      }),
      heartbeatMs: limits.heartbeatMs,
      // Beside other requests there is no sleep to come first, and nobody is to wait for anything.
      lateWork: new LateWork(clock, () => this.#isStopping || commons !== undefined || this.#inProgress > 0),
      madeResponses: commons?.madeResponses ?? new MadeResponses(),
      bodyLimits: {
        bodyBytesMax: options.bodyBytesMax,
        memoryBytesMax: limits.memoryBytesMax,
        spoolFolder: options.spoolFolder ?? tmpdir(),
      },
      crashNoticeMs: limits.crashNoticeMs,
      stallTimeoutMs: limits.stallTimeoutMs,
      createdAtEpochS: Math.floor((commons?.startedAtEpochMs ?? clock.epochMs()) / 1_000),
      onBug: options.onBug,
      onEnded: (exchange, record) => this.#onEnded(exchange, record),
      isSurplus: (request) => this.#connections.isSurplus(request.socket),
    };
    this.#surge = new Surge(options.onSurgeOver ?? (() => {}));
    this.#listener = new HttpListener({
      limits,
      clock,
      speaksTls: options.tls !== undefined,
      handlers: {
        refusalOf: (reason, headBytes) => this.#refuseHead(reason, headBytes),
        onRequest: (request, response) => this.#onRequest(request, response),
        takesOver: (head) => isWebSocket(head) && splitTarget(head.url).path === REALTIME_PATH,
        onTakenOver: (request, rest) => this.#onTakenOver(request, rest),
        onBug: options.onBug,
      },
    });
    this.#identity = options.tls ?? null;
    const connections = commons?.connections ?? new OwnCount();
    this.#connections = new ConnectionLimit(this.#listener.server, limits.connectionsMax, clock, connections);
    this.#isOneOfMany = commons !== undefined;
  }

  async listen(host: string, port: number): Promise<AddressInfo> {
    if (this.#identity !== null) this.renewTls(this.#identity());
    return new Promise((resolve, reject) => {
      const onError = (error: Error): void => {
        reject(cannotListen(host, port, error));
      };
      this.#listener.server.once("error", onError);
      this.#listener.server.listen({ port, host, reusePort: this.#isOneOfMany }, () => {
        this.#listener.server.off("error", onError);
        // From here on it is about single connections: too many open files, for one. The listener itself goes on.
        this.#listener.server.on("error", this.#house.onBug);
        const address = this.#listener.server.address();
        if (address === null || typeof address === "string") return reject(new Error("the listener has no port"));
        resolve(address);
      });
    });
  }

  stopAccepting(): Promise<void> {
    this.#isStopping = true;
    this.catchUp();
    for (const exchange of this.#open) exchange.closeAfterwards();
    if (this.#listener.server.listening) this.#listener.server.close();
    this.#listener.closeIdle();
    return Promise.resolve();
  }

  renewTls({ cert, key }: TlsIdentity): void {
    if ("setSecureContext" in this.#listener.server)
      this.#listener.server.setSecureContext({ cert, key, minVersion: TLS_VERSION_MIN });
  }

  catchUp(): void {
    this.#house.lateWork.catchUp();
  }

  oldestArrivalEpochMs(): number | null {
    return this.#open.oldest?.arrivedAtEpochMs ?? null;
  }

  idle(): Promise<void> {
    if (this.#open.size === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#onIdle.push(resolve);
    });
  }

  destroy(): void {
    void this.stopAccepting();
    this.#listener.closeAll();
    // Their connections are the listener's no more.
    for (const each of this.#open) if (each instanceof RealtimeSession) each.destroy();
  }

  #onRequest(request: HttpRequest, response: HttpResponse): void {
    const exchange = new Exchange(this.#house, request, response);
    this.#open.add(exchange);
    this.#onCount();
    if (this.#isStopping) exchange.closeAfterwards();
    exchange.begin();
  }

  #onCount(): void {
    this.#surge.onCount(this.#open.size);
    collectWrites(this.#inProgress > 1);
  }

  get #inProgress(): number {
    return this.#open.size - this.#house.lateWork.size;
  }

  #onTakenOver(request: HttpRequest, rest: Buffer): void {
    this.catchUp();
    const session = new RealtimeSession(this.#house, request);
    this.#open.add(session);
    session.begin(rest);
    if (this.#isStopping) session.closeAfterwards();
  }

  #refuseHead(reason: Refusal, headBytes: number): string {
    const { text, record } = headRefusal(reason, headBytes, this.#house.clock.epochMs());
    // Records come in the order of what they tell.
    this.catchUp();
    if (record !== null) this.#tell(record);
    return text;
  }

  #tell(record: AccessRecord): void {
    try {
      this.#onAccess(record);
    } catch (error) {
      this.#house.onBug(error);
    }
  }

  #onEnded(exchange: OpenRequest, record: AccessRecord): void {
    this.#open.remove(exchange);
    this.#onCount();
    this.#tell(record);
    // The connection of an answer that had begun before the stop becomes idle only after this.
    if (this.#isStopping) setImmediate(() => this.#listener.closeIdle());
    if (this.#open.size > 0) return;
    const waiting = this.#onIdle;
    this.#onIdle = [];
    for (const resolve of waiting) resolve();
  }
}

/** What to tell who has chosen the address. */
export function cannotListen(host: string, port: number, error: unknown): Error {
  return new Error(`cannot listen on ${host}:${port}: ${explain(error)}`);
}

function explain(error: unknown): string {
  const code = error instanceof Error && "code" in error ? error.code : "";
  if (code === "EADDRINUSE") return "something else listens there already (EADDRINUSE); choose another port";
  if (code === "EACCES") return "this user may not listen there (EACCES); ports below 1024 need a privilege";
  if (code === "EADDRNOTAVAIL") return "this machine has no such address (EADDRNOTAVAIL)";
  return describeError(error);
}
