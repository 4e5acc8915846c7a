/**
 * What the client of an event stream hears until its engine speaks. The first heartbeat promises the stream, so from there on whatever goes
 * wrong is told as its last event.
 */
import type { ModelId } from "../core/model.ts";
import type { Clock } from "../ports/clock.ts";
import { STREAM_HEADERS } from "./event-stream.ts";
import type { Heart, Listener } from "./heart.ts";
import type { HttpResponse } from "./http1/http-response.ts";
import type { Waiting } from "./lease-desk.ts";

/** Whose stream it is. */
export interface StreamOwner {
  /** Of an answer that begins now. */
  ownLines(): string;
  /** From now on the engine speaks, or we have said our last word. */
  isPastBeats(): boolean;
  /** Runs a step in which something may go wrong. */
  guard(step: () => void): void;
}

/** What it takes. */
export interface PromisedStreamParts {
  readonly heart: Heart;
  readonly clock: Clock;
  readonly response: HttpResponse;
  readonly model: ModelId;
}

/** What a client may leave unread of its heartbeats, in bytes; further ones are left out. */
const UNREAD_BEATS_MAX = 16 * 1024;

/** Made when the client has said all. */
export class PromisedStream {
  readonly #parts: PromisedStreamParts;
  readonly #owner: StreamOwner;
  /** Since when the client hears nothing: since it has said all, or since the last heartbeat. */
  #silentSinceMs: number;
  #beats: Listener | null = null;
  #isOpened = false;
  #bytesOut = 0;

  constructor(parts: PromisedStreamParts, owner: StreamOwner) {
    this.#parts = parts;
    this.#owner = owner;
    this.#silentSinceMs = parts.clock.nowMs();
  }

  /** Whether the client has been told that a stream comes. */
  get isOpened(): boolean {
    return this.#isOpened;
  }

  /** Of heartbeats. */
  get bytesOut(): number {
    return this.#bytesOut;
  }

  /** The client waits: in this place of the queue, or, with null, for something else. */
  wait(place: Waiting | null): void {
    const { heart, model } = this.#parts;
    const before = this.#beats;
    this.#beats = { place, model, onBeat: (comment) => this.#owner.guard(() => this.#beat(comment)) };
    heart.add(this.#beats, this.#silentSinceMs);
    // Only now: a beat that is due in this moment keeps its timer, and is not put off by another one.
    if (before !== null) heart.remove(before);
  }

  /** The request goes to an engine. A stream that was promised must not fall silent, or proxies cut it; one that was not may still become an error. */
  onSent(): void {
    if (this.#isOpened) this.wait(null);
    else this.end();
  }

  /** There are no more heartbeats. */
  end(): void {
    if (this.#beats !== null) this.#parts.heart.remove(this.#beats);
    this.#beats = null;
  }

  #beat(comment: string): void {
    if (this.#owner.isPastBeats()) return this.end();
    const { clock, response } = this.#parts;
    this.#silentSinceMs = clock.nowMs();
    if (!this.#isOpened) {
      this.#isOpened = true;
      const passed = { lines: this.#owner.ownLines(), date: null, contentLength: null };
      response.writeHead(200, STREAM_HEADERS, passed);
    }
    if (response.unsentBytes > UNREAD_BEATS_MAX) return;
    response.write(Buffer.from(comment));
    this.#bytesOut += comment.length;
  }
}
