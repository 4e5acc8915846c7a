/** The client's end of a realtime session: its bare connection, what it is told, and the words with which it is left. */
import { randomUUID } from "node:crypto";
import type { Duplex } from "node:stream";
import type { Failure } from "../base/failure.ts";
import type { Clock, TimerHandle } from "../ports/clock.ts";
import { errorAnswer } from "./errors.ts";
import { endGently } from "./http1/gentle-end.ts";
import { closeFrame, frame, PING, PONG, TEXT } from "./web-socket-frames.ts";
import { acceptance, refuseUpgrade, type Handshake } from "./web-socket-handshake.ts";

/** How long a client may take to read the last words, in ms. */
const FAREWELL_MS = 5_000;

const GOING_AWAY = 1001;
const POLICY = 1008;
const BROKEN = 1011;
const TRY_AGAIN = 1013;

/** The code with which a connection ends for a failure; any other one makes it worth trying again. */
const CLOSE_CODES: Partial<Record<Failure["code"], number>> = {
  invalid_request: POLICY,
  model_not_found: POLICY,
  model_not_allowed: POLICY,
  shutting_down: GOING_AWAY,
  engine_crashed: BROKEN,
  engine_unreachable: BROKEN,
  internal_error: BROKEN,
};

/** What comes of the connection. */
export interface ClientEvents {
  readonly onData: (chunk: Buffer) => void;
  /** It has room again for what it is told. */
  readonly onDrain: () => void;
  /** It says nothing more. */
  readonly onGone: () => void;
}

/** One connection. */
export class RealtimeClient {
  readonly #socket: Duplex;
  readonly #clock: Clock;
  #bytesOut = 0;
  #pings: TimerHandle | null = null;
  #farewell: TimerHandle | null = null;

  constructor(socket: Duplex, clock: Clock) {
    this.#socket = socket;
    this.#clock = clock;
  }

  /** What it was told, in bytes. */
  get bytesOut(): number {
    return this.#bytesOut;
  }

  /** Whether nothing of the connection is left. */
  get isClosed(): boolean {
    return this.#socket.closed;
  }

  /** To be called before anything can happen to it. */
  watch(onGone: () => void): void {
    this.#socket.on("error", () => {});
    this.#socket.on("close", () => {
      this.#farewell?.cancel();
      onGone();
    });
  }

  listen({ onData, onDrain, onGone }: ClientEvents): void {
    this.#socket.on("data", onData);
    this.#socket.on("drain", onDrain);
    this.#socket.on("end", onGone);
  }

  /** Makes a WebSocket of it. */
  accept(handshake: Handshake, protocol: string | null, requestId: string): void {
    this.tell(Buffer.from(acceptance(handshake, protocol, requestId)));
  }

  /** Makes none of it; the connection ends. Returns the status. */
  refuse(reason: Failure, requestId: string): number {
    const { status, headers, body } = errorAnswer(reason, "openai", requestId);
    const more = status === 401 ? ["www-authenticate", "Bearer"] : [];
    refuseUpgrade(this.#socket, status, [...headers, "x-request-id", requestId, ...more], body);
    endGently(this.#socket, this.#clock);
    return status;
  }

  /** False when it should be waited for. */
  tell(bytes: Buffer): boolean {
    this.#bytesOut += bytes.length;
    return this.#socket.writable && this.#socket.write(bytes);
  }

  /** An engine would do this, and its clients wait for it before they say which model they want. */
  greet(): void {
    const created = Math.floor(this.#clock.epochMs() / 1_000);
    const greeting = { type: "session.created", id: `sess-${randomUUID()}`, created };
    this.tell(frame(TEXT, Buffer.from(JSON.stringify(greeting))));
  }

  /** Until `endPings`: proxies cut a connection that is silent for long. */
  beginPings(intervalMs: number | null): void {
    if (intervalMs === null) return;
    this.#pings = this.#clock.after(intervalMs, () => {
      this.tell(frame(PING, Buffer.from("llmux")));
      this.beginPings(intervalMs);
    });
  }

  endPings(): void {
    this.#pings?.cancel();
    this.#pings = null;
  }

  pong(payload: Buffer): void {
    this.tell(frame(PONG, payload));
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  /** The connection ends when it has read these. */
  leave(lastWords: Buffer | null): void {
    if (lastWords !== null) this.tell(lastWords);
    this.#socket.resume();
    this.#socket.end();
    this.#farewell = this.#clock.after(FAREWELL_MS, () => this.#socket.destroy());
  }

  destroy(): void {
    this.#socket.destroy();
  }
}

/** An error event, and the end. */
export function failureWords({ code, message }: Failure): Buffer {
  const error = { type: "error", error: { type: "server_error", code, message, param: null } };
  return Buffer.concat([
    frame(TEXT, Buffer.from(JSON.stringify(error))),
    closeFrame(CLOSE_CODES[code] ?? TRY_AGAIN, message),
  ]);
}
