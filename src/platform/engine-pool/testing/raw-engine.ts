/** An engine that says, byte for byte, what a test wants it to say, and a handler that writes down what it is told. */
import { once } from "node:events";
import { createServer, type AddressInfo, type Server, type Socket } from "node:net";
import type { TestContext } from "node:test";
import type { Dispatcher } from "undici";
import type { AnswerHeaders, FramedHandler } from "../../../ports/framed-handler.ts";
import { headersObject } from "../answer-head.ts";
import { EnginePool } from "../engine-pool.ts";

/** It hears each request as text, once its body has come whole. */
export class RawEngine {
  readonly requests: string[] = [];
  readonly sockets: Socket[] = [];
  answer: (socket: Socket, request: string) => void = (socket) => {
    socket.write("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nfine");
  };
  readonly #server: Server;

  constructor() {
    this.#server = createServer({ noDelay: true }, (socket) => {
      this.sockets.push(socket);
      let text = "";
      socket.setEncoding("latin1");
      socket.on("error", () => {});
      socket.on("data", (more: string) => {
        text += more;
        const headEnd = text.indexOf("\r\n\r\n");
        const length = Number(/content-length: (\d+)/i.exec(text.slice(0, headEnd + 2))?.[1] ?? 0);
        if (headEnd === -1 || text.length < headEnd + 4 + length) return;
        const request = text;
        text = "";
        this.requests.push(request);
        this.answer(socket, request);
      });
    });
  }

  async listen(host = "127.0.0.1"): Promise<string> {
    this.#server.listen(0, host);
    await once(this.#server, "listening");
    return `http://127.0.0.1:${this.port}`;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Takes no further connections. */
  stopListening(): void {
    this.#server.close();
  }

  close(): void {
    this.#server.close();
    for (const socket of this.sockets) socket.destroy();
  }
}

/** One raw engine with a pool of ours, both gone when the test is over. */
export async function withEngine(
  context: TestContext,
  headers: readonly string[] = [],
): Promise<{ engine: RawEngine; pool: EnginePool; origin: string }> {
  const engine = new RawEngine();
  const origin = await engine.listen();
  const pool = new EnginePool(origin, headers);
  context.after(async () => {
    await pool.destroy();
    engine.close();
  });
  return { engine, pool, origin };
}

/** Writes down what it is told, in order. */
export class Recorder implements FramedHandler {
  readonly told: string[] = [];
  readonly chunks: Buffer[] = [];
  readonly frames: { readonly bytes: Buffer; readonly dataBytes: number; readonly lastByte: number }[] = [];
  wantsFrames = false;
  controller: Dispatcher.DispatchController | null = null;
  headers: Readonly<Record<string, string | string[] | undefined>> = {};
  status = 0;
  error: (Error & { readonly code?: unknown }) | null = null;
  readonly #over = Promise.withResolvers<void>();
  /** Called with what it is told, when that is written down. */
  onTold: (what: string) => void = () => {};

  /** When it has ended, well or not. */
  get over(): Promise<void> {
    return this.#over.promise;
  }

  get text(): string {
    return Buffer.concat(this.chunks).toString("latin1");
  }

  /** How often it was told of an end. */
  get ends(): number {
    return this.told.filter((what) => what === "end" || what === "error").length;
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.controller = controller;
    this.#tell("start");
  }

  onResponseStart(
    _controller: Dispatcher.DispatchController,
    status: number,
    headers: Readonly<Record<string, string | string[] | undefined>>,
  ): void {
    this.status = status;
    this.headers = headers;
    this.#tell("head");
  }

  onAnswerHead(controller: Dispatcher.DispatchController, status: number, head: AnswerHeaders): void {
    this.onResponseStart(controller, status, headersObject(head));
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.chunks.push(chunk);
    this.#tell("data");
  }

  onResponseFrames(
    _controller: Dispatcher.DispatchController,
    bytes: Buffer,
    dataBytes: number,
    lastByte: number,
  ): void {
    this.frames.push({ bytes, dataBytes, lastByte });
    this.#tell("frames");
  }

  onResponseEnd(): void {
    this.#over.resolve();
    this.#tell("end");
  }

  onResponseError(_controller: Dispatcher.DispatchController | null, error: Error): void {
    this.error = error;
    this.#over.resolve();
    this.#tell("error");
  }

  #tell(what: string): void {
    this.told.push(what);
    this.onTold(what);
  }
}

/** Of a request; what is missing is that of a small POST. */
export type Options = Partial<Dispatcher.DispatchOptions>;

/** Sends, and waits for the end. */
export async function send(pool: EnginePool, options: Options = {}, recorder = new Recorder()): Promise<Recorder> {
  start(pool, options, recorder);
  await recorder.over;
  return recorder;
}

/** Sends. */
export function start(pool: EnginePool, options: Options = {}, recorder = new Recorder()): Recorder {
  pool.dispatch({ path: "/", method: "POST", headers: ["x-a", "1"], body: Buffer.from("{}"), ...options }, recorder);
  return recorder;
}

/** Waits until `condition` holds; throws after 5 s, naming `what`. */
export async function until(condition: () => boolean, what: string): Promise<void> {
  for (const endMs = performance.now() + 5_000; !condition();) {
    if (performance.now() > endMs) throw new Error(`waited in vain: ${what}`);
    await new Promise<void>((resolve) => {
      setImmediate(resolve);
    });
  }
}
