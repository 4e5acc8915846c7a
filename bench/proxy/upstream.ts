/**
 * The program behind all proxies: an engine that costs next to nothing, so that what is measured is the proxy. It speaks just the HTTP
 * that the benchmark's client speaks, on bare sockets, and answers as a request's `x-bench` header says. Started as llmux starts
 * an engine, it takes no notice of any argument but `--port` and the model's name: one of them never becomes ready.
 */
import { createServer, type Socket } from "node:net";
import { BIG_BYTES, CHUNK_EVERY_MS, CHUNKS, JSON_ANSWER, SILENT_MODEL, STREAM_CHUNK } from "./exchanges.ts";

const HEADERS_END = Buffer.from("\r\n\r\n");
const BENCH_HEADER = Buffer.from("x-bench: ");
const LENGTH_HEADER = Buffer.from("content-length: ");
const CARRIAGE_RETURN = 13;

const JSON_HEAD = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";
const STREAM_HEAD =
  "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n";

const JSON_WHOLE = Buffer.from(`${JSON_HEAD}content-length: ${Buffer.byteLength(JSON_ANSWER)}\r\n\r\n${JSON_ANSWER}`);
const EMPTY = Buffer.from(`${JSON_HEAD}content-length: 2\r\n\r\n{}`);
const CHUNK = Buffer.from(`${Buffer.byteLength(STREAM_CHUNK).toString(16)}\r\n${STREAM_CHUNK}\r\n`);
const LAST_CHUNK = Buffer.from("0\r\n\r\n");
const BIG_PIECE = Buffer.alloc(64 * 1024, "x");

/** One connection: requests come one after the other. */
class Connection {
  readonly #socket: Socket;
  #head: Buffer | null = null;
  /** What is still to come of the body of the request. */
  #missingBytes = 0;
  #answer = "";

  static serve(socket: Socket): void {
    const connection = new Connection(socket);
    socket.on("data", (bytes: Buffer) => connection.#onData(bytes));
    socket.on("error", () => socket.destroy());
  }

  private constructor(socket: Socket) {
    this.#socket = socket;
  }

  #onData(bytes: Buffer): void {
    if (this.#missingBytes > 0) {
      this.#missingBytes -= bytes.length;
      if (this.#missingBytes === 0) this.#respond();
      return;
    }
    const head = this.#head === null ? bytes : Buffer.concat([this.#head, bytes]);
    const end = head.indexOf(HEADERS_END);
    this.#head = end === -1 ? head : null;
    if (end === -1) return;
    this.#answer = valueOf(head, BENCH_HEADER, end) ?? "nothing";
    const length = Number(valueOf(head, LENGTH_HEADER, end) ?? 0);
    this.#missingBytes = length - (head.length - end - HEADERS_END.length);
    if (this.#missingBytes === 0) this.#respond();
  }

  #respond(): void {
    if (this.#answer === "json") this.#socket.write(JSON_WHOLE);
    else if (this.#answer === "stream") this.#stream();
    else if (this.#answer === "idle") this.#socket.write(Buffer.concat([Buffer.from(STREAM_HEAD), CHUNK]));
    else if (this.#answer === "big") this.#big();
    else this.#socket.write(EMPTY);
  }

  #stream(): void {
    this.#socket.write(STREAM_HEAD);
    let left = CHUNKS;
    const timer = setInterval(() => {
      left -= 1;
      if (left < 0 || this.#socket.destroyed) {
        clearInterval(timer);
        this.#socket.write(LAST_CHUNK);
      } else this.#socket.write(CHUNK);
    }, CHUNK_EVERY_MS);
  }

  #big(): void {
    this.#socket.write(`${JSON_HEAD}content-length: ${BIG_BYTES}\r\n\r\n`);
    let left = BIG_BYTES;
    const more = (): void => {
      while (left > 0 && !this.#socket.destroyed) {
        const piece = BIG_PIECE.subarray(0, left);
        left -= piece.length;
        if (!this.#socket.write(piece)) break;
      }
      if (left === 0) this.#socket.off("drain", more);
    };
    this.#socket.on("drain", more);
    more();
  }
}

/** Headers are found as the client writes them, in small letters, or as proxies do, with capitals. */
function valueOf(head: Buffer, name: Buffer, end: number): string | null {
  const at = indexOfName(head, name, end);
  return at === -1 ? null : head.toString("latin1", at + name.length, head.indexOf(CARRIAGE_RETURN, at));
}

function indexOfName(head: Buffer, name: Buffer, end: number): number {
  const at = head.indexOf(name);
  if (at !== -1 && at < end) return at;
  return head.toString("latin1", 0, end).toLowerCase().indexOf(name.toString("latin1"));
}

function portOf(args: readonly string[]): number {
  const at = args.indexOf("--port");
  return Number(at === -1 ? args.find((arg) => arg.startsWith("--port="))?.slice("--port=".length) : args[at + 1]);
}

const isSilent = process.argv.includes(SILENT_MODEL);
const server = createServer({ noDelay: true }, (socket) => {
  if (isSilent) socket.destroy();
  else Connection.serve(socket);
});
server.listen({ port: portOf(process.argv), host: "127.0.0.1", backlog: 16_384 });
for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, () => process.exit(0));
