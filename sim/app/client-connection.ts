/** A client's connection: requests go out over it, answers come back in their order. */
import type { VirtualClock } from "../../src/simulation/virtual-clock.ts";
import type { ServerSocket } from "./connection.ts";
import type { Network } from "./network.ts";
import { ResponseReader, type ReadResponse } from "./response-reader.ts";

/** How a request ended, as its client saw it. */
export type ClientEnd =
  /** Nobody takes connections. */
  | { readonly kind: "not connected" }
  | { readonly kind: "answered"; readonly response: ReadResponse }
  /** The connection ended first; `response` is what had come. */
  | { readonly kind: "cut"; readonly response: ReadResponse | null; readonly isReset: boolean }
  /** The client itself went. */
  | { readonly kind: "left"; readonly response: ReadResponse | null };

/** One request on a connection. None of these may send before it has returned. */
export interface Asker {
  onBody(piece: Buffer, bytesSoFar: number): void;
  onEnd(end: ClientEnd): void;
}

/** Opened at once; it ends with the first thing that is not in order. */
export class ClientConnection {
  readonly #clock: VirtualClock;
  readonly #socket: ServerSocket | null;
  readonly #reader: ResponseReader;
  readonly #askers: Asker[] = [];
  #isOver = false;

  constructor(clock: VirtualClock, network: Network, address: string) {
    this.#clock = clock;
    this.#reader = new ResponseReader({
      onHead: () => {},
      onBody: (piece, bytesSoFar) => this.#askers[0]?.onBody(piece, bytesSoFar),
      onComplete: (response) => this.#askers.shift()?.onEnd({ kind: "answered", response }),
    });
    this.#socket = network.connect(address, {
      onBytes: (bytes) => this.#reader.push(bytes),
      onClosed: (isReset) => this.#onClosed(isReset),
    });
  }

  /** Whether it can take a request. */
  get isOpen(): boolean {
    return !this.#isOver && this.#socket !== null && this.#socket.isOpen;
  }

  /** How many requests wait for their answers. */
  get asked(): number {
    return this.#askers.length;
  }

  /** `head` with the blank line, and then the parts of the body, evenly over `sendMs`. */
  ask(asker: Asker, head: string, parts: readonly (string | Buffer)[], sendMs: number): void {
    if (this.#socket === null) {
      this.#clock.after(0, () => asker.onEnd({ kind: "not connected" }));
      return;
    }
    this.#askers.push(asker);
    const [first, ...others] = parts;
    this.#socket.send(
      sendMs === 0 ? Buffer.concat([Buffer.from(head), ...parts.map((part) => Buffer.from(part))]) : head,
    );
    if (sendMs === 0 || first === undefined) return;
    for (const [index, part] of [first, ...others].entries()) {
      const atMs = (sendMs * (index + 1)) / parts.length;
      this.#clock.after(atMs, () => this.isOpen && this.#socket?.send(part));
    }
  }

  setReading(isReading: boolean): void {
    this.#socket?.setReading(isReading);
  }

  /** The client goes, and with it all that it has asked. */
  leave(inOrder: boolean): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#socket?.leave(inOrder);
    let response = this.#reader.unfinished;
    for (const asker of this.#askers.splice(0)) {
      asker.onEnd({ kind: "left", response });
      response = null;
    }
  }

  #onClosed(isReset: boolean): void {
    if (this.#isOver) return;
    if (!isReset) this.#reader.end();
    this.#isOver = true;
    let response = this.#reader.unfinished;
    for (const asker of this.#askers.splice(0)) {
      asker.onEnd({ kind: "cut", response, isReset });
      response = null;
    }
  }
}
