/** A connection whose client, host and time are played by a test. */
import { FakeClock } from "../../../orchestrator/testing/fake-clock.ts";
import type { ConnectionHost, ConnectionLimits, Refusal } from "../connection-host.ts";
import { HttpConnection } from "../http-connection.ts";
import type { HttpRequest } from "../http-request.ts";
import type { HttpResponse, ResponseOwner } from "../http-response.ts";
import type { RequestHead } from "../request-head.ts";
import { MemorySocket } from "./memory-socket.ts";

/** One request, as its host sees it. */
export interface PlayedRequest {
  readonly request: HttpRequest;
  readonly response: HttpResponse;
  /** Of the body. */
  received: string;
  hasEnded: boolean;
  drains: number;
  unsents: number;
  closes: number;
  /** Of its body. */
  readonly refusals: Refusal[];
}

const LIMITS: ConnectionLimits = {
  headerBytesMax: 1_000,
  headersLooks: 3,
  requestLooks: 10,
  keepAliveLooks: 5,
  keepAliveTimeoutMs: 5_000,
};

/** An answer goes out at the end of its turn of the event loop, and the next request may be begun a turn later. */
const QUIET_TURNS = 3;

/** See `play`. */
export class PlayedConnection implements ConnectionHost {
  readonly clock = new FakeClock();
  readonly socket = new MemorySocket();
  readonly limits: ConnectionLimits;
  readonly requests: PlayedRequest[] = [];
  /** Of heads. */
  readonly refusals: Refusal[] = [];
  /** Of the last head that was refused, how much had come. */
  headBytes: number | null = null;
  readonly bugs: unknown[] = [];
  /** What came behind the request that was taken over. */
  takenOver: string | null = null;
  goes = 0;
  looks = 0;
  isEnding = false;
  /** Called with each request. */
  onPlayed: (played: PlayedRequest) => void = () => {};
  readonly connection: HttpConnection;

  constructor(limits: Partial<ConnectionLimits> = {}) {
    this.limits = { ...LIMITS, ...limits };
    this.connection = new HttpConnection(this, this.socket);
  }

  /** The client sends this, and all that can happen then happens. */
  async say(...pieces: readonly (string | Buffer)[]): Promise<void> {
    for (const piece of pieces) {
      this.socket.say(piece);
      await this.settle();
    }
  }

  /** Goes on for as long as something comes of it. */
  async settle(): Promise<void> {
    for (let quiet = 0; quiet < QUIET_TURNS; quiet += 1) {
      const before = this.#happenings;
      await this.clock.pass(0);
      if (this.#happenings !== before) quiet = -1;
    }
  }

  get #happenings(): number {
    return this.requests.length + this.socket.writes.length + this.goes;
  }

  look(times = 1): void {
    for (let left = times; left > 0; left -= 1) {
      this.looks += 1;
      this.connection.look();
    }
  }

  /** The request of this number. */
  at(index: number): PlayedRequest {
    const played = this.requests[index];
    if (played === undefined) throw new Error(`there are ${this.requests.length} requests`);
    return played;
  }

  epochMs(): number {
    return 0;
  }

  after(delayMs: number, fire: () => void): { cancel(): void } {
    return this.clock.after(delayMs, fire);
  }

  refusalOf(reason: Refusal, headBytes: number): string {
    this.refusals.push(reason);
    this.headBytes = headBytes;
    return `HTTP/1.1 499 ${reason}\r\n\r\n`;
  }

  onRequest(request: HttpRequest, response: HttpResponse): void {
    const played: PlayedRequest = {
      request,
      response,
      received: "",
      hasEnded: false,
      drains: 0,
      unsents: 0,
      closes: 0,
      refusals: [],
    };
    this.requests.push(played);
    response.ownBy(ownerOf(played));
    request.take({
      onData: (data) => void (played.received += data.toString("latin1")),
      onEnd: () => void (played.hasEnded = true),
    });
    this.onPlayed(played);
  }

  takesOver(head: RequestHead): boolean {
    return head.upgrade === "websocket";
  }

  onTakenOver(_request: HttpRequest, rest: Buffer): void {
    this.takenOver = rest.toString("latin1");
  }

  onBug(error: unknown): void {
    this.bugs.push(error);
  }

  onGone(): void {
    this.goes += 1;
  }
}

function ownerOf(played: PlayedRequest): ResponseOwner {
  return {
    refusalOf(reason) {
      played.refusals.push(reason);
      return `HTTP/1.1 499 ${reason}\r\n\r\n`;
    },
    onDrain: () => void (played.drains += 1),
    onUnsent: () => void (played.unsents += 1),
    onClosed: () => void (played.closes += 1),
  };
}

/** Answers with this, and a length. */
export function answerWith(response: HttpResponse, body: string): void {
  response.writeHead(200, ["content-length", String(body.length)]);
  response.end(Buffer.from(body));
}

/** The bodies of the answers that the client has got, each with a length. */
export function bodiesIn(heard: string): string[] {
  const bodies: string[] = [];
  for (let at = 0; at < heard.length;) {
    const body = heard.indexOf("\r\n\r\n", at) + 4;
    const length = Number(/content-length: (\d+)/.exec(heard.slice(at, body))?.[1] ?? "0");
    bodies.push(heard.slice(body, body + length));
    at = body + length;
  }
  return bodies;
}
