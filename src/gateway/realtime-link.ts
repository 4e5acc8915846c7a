/** The way to a realtime engine: a handshake of our own over the engine's pool, and then its bare connection. */
import type { IncomingHttpHeaders } from "node:http";
import type { Duplex } from "node:stream";
import type { Dispatcher } from "undici";
import { describeError } from "../base/failure.ts";
import type { EngineConnection } from "../ports/engine-directory.ts";
import { engineHandshake } from "./web-socket-handshake.ts";

/** What is asked for. */
export interface LinkRequest {
  /** With the client's query. */
  readonly path: string;
  /** Names and values, flat, without the client's handshake. */
  readonly headers: readonly string[];
  readonly protocol: string | null;
}

/** Who asks. One of these is called once, unless the link was given up before; none from within `open`. */
export interface LinkOwner {
  onLinked(engine: Duplex): void;
  /** The engine lives, and does not do this. `what` continues "The engine …". */
  onUnwilling(what: string): void;
  onBroken(what: string): void;
}

/** One try to reach one engine. */
export class RealtimeLink {
  readonly #owner: LinkOwner;
  #controller: Dispatcher.DispatchController | null = null;
  #isOver = false;

  constructor(owner: LinkOwner) {
    this.#owner = owner;
  }

  open({ origin, dispatcher }: EngineConnection, { path, headers, protocol }: LinkRequest): void {
    const handshake = engineHandshake(protocol);
    const sent = [...headers, ...handshake.headers];
    const handler = this.#handler(handshake.accept);
    dispatcher.dispatch({ origin, path, method: "GET", upgrade: "websocket", headers: sent }, handler);
  }

  /** Does nothing when there is an answer. */
  giveUp(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#controller?.abort(GIVEN_UP);
  }

  #handler(accept: string): Dispatcher.DispatchHandler {
    let status = 0;
    return {
      onRequestStart: (controller) => {
        if (this.#isOver) controller.abort(GIVEN_UP);
        else this.#controller = controller;
      },
      onRequestUpgrade: (_controller, _status, headers, engine) => {
        engine.on("error", () => {});
        if (this.#isOver) engine.destroy();
        else this.#onUpgraded(engine, isRight(headers, accept));
      },
      onResponseStart: (_controller, code) => {
        status = code;
      },
      onResponseData() {},
      onResponseEnd: () => this.#tell(() => this.#owner.onUnwilling(`answered ${status} and speaks no WebSocket here`)),
      onResponseError: (_controller, error) => {
        this.#tell(() => this.#owner.onBroken(`broke the connection (${describeError(error)})`));
      },
    };
  }

  #onUpgraded(engine: Duplex, understood: boolean): void {
    this.#isOver = true;
    if (understood) return this.#owner.onLinked(engine);
    engine.destroy();
    return this.#owner.onUnwilling("has not understood the handshake");
  }

  #tell(say: () => void): void {
    // A pool that is destroyed says so at once, perhaps in the middle of an effect of the scheduler.
    queueMicrotask(() => {
      if (this.#isOver) return;
      this.#isOver = true;
      say();
    });
  }
}

const GIVEN_UP = new Error("nobody wants the connection any more");

/** An extension that nobody has asked for would change the frames. */
function isRight(headers: IncomingHttpHeaders, accept: string): boolean {
  return headers["sec-websocket-accept"] === accept && headers["sec-websocket-extensions"] === undefined;
}
