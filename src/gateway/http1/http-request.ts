/** One request of a client: its head, and its body as it comes. */
import type { Duplex } from "node:stream";
import type { ReadHead, RequestHead } from "./request-head.ts";

/** Who wants the body. Called in this order; nothing is called when the client breaks off. */
export interface BodyTaker {
  /** The data is the taker's own. */
  onData(data: Buffer): void;
  onEnd(): void;
}

/** Made by the connection, which feeds it. */
export class HttpRequest {
  readonly head: RequestHead;
  /** See `ReadHead`. */
  readonly bodyBytes: number | null;
  readonly socket: Duplex;
  #isComplete = false;
  #taker: BodyTaker | null = null;

  constructor({ head, bodyBytes }: ReadHead, socket: Duplex) {
    this.head = head;
    this.bodyBytes = bodyBytes;
    this.socket = socket;
  }

  /** Whether all of the body has come. */
  get isComplete(): boolean {
    return this.#isComplete;
  }

  /** From now on the body goes there. What comes of it while nobody takes it is thrown away, so this is for who has just got the request. */
  take(taker: BodyTaker): void {
    this.#taker = taker;
  }

  /** Nobody wants the rest of the body. */
  leave(): void {
    this.#taker = null;
    this.resume();
  }

  /** The client is not read for a while; what has been read already still comes. */
  pause(): void {
    this.socket.pause();
  }

  resume(): void {
    this.socket.resume();
  }

  /** For the connection alone. */
  feed(data: Buffer): void {
    this.#taker?.onData(data);
  }

  /** For the connection alone. */
  complete(): void {
    this.#isComplete = true;
  }

  /** For the connection alone, after `complete`. */
  tellEnd(): void {
    const taker = this.#taker;
    this.#taker = null;
    taker?.onEnd();
  }

  /** The value of a header other than `content-length`, of several joined by commas; undefined where there is none. */
  header(name: string): string | undefined {
    const { rawHeaders } = this.head;
    let value: string | undefined;
    for (let index = 0; index + 1 < rawHeaders.length; index += 2) {
      if (rawHeaders[index] !== name) continue;
      value = value === undefined ? rawHeaders[index + 1] : `${value}, ${rawHeaders[index + 1]}`;
    }
    return value;
  }
}
