/**
 * The least that a proxy in Node can cost: bytes from socket to socket, and of HTTP just what tells where a message of this benchmark
 * ends. No routes, keys, queue, metrics, limits or errors; whatever it costs is the runtime. Arguments: port, the upstream's port.
 */
import { connect, createServer, type Socket } from "node:net";

const [port = 0, upstreamPort = 0] = process.argv.slice(2).map(Number);

const HEADERS_END = Buffer.from("\r\n\r\n");
const LAST_CHUNK = Buffer.from("0\r\n\r\n");
const READ_BUFFER = Buffer.allocUnsafeSlow(64 * 1024);

const idle: Upstream[] = [];

/** A kept connection to the upstream, which carries one exchange at a time. */
class Upstream {
  readonly #socket: Socket;
  #client: Socket | null = null;
  #inHead = true;
  /** Of the answer's body; null where it comes in chunks. */
  #missingBytes: number | null = 0;

  constructor() {
    const callback = (bytes: number): boolean => {
      this.#onRead(bytes);
      return true;
    };
    const onread = { buffer: READ_BUFFER, callback };
    this.#socket = connect({ port: upstreamPort, host: "127.0.0.1", noDelay: true, onread });
    this.#socket.on("error", () => this.#socket.destroy());
  }

  carry(request: Buffer, client: Socket): void {
    this.#client = client;
    this.#inHead = true;
    this.#socket.write(request);
  }

  #onRead(length: number): void {
    const bytes = Buffer.allocUnsafe(length);
    READ_BUFFER.copy(bytes, 0, 0, length);
    if (this.#inHead) this.#missingBytes = bodyBytesOf(bytes);
    if (this.#missingBytes !== null) this.#missingBytes -= length - (this.#inHead ? headBytesOf(bytes) : 0);
    this.#inHead = false;
    const client = this.#client;
    if (
      this.#missingBytes === null ? bytes.subarray(-LAST_CHUNK.length).equals(LAST_CHUNK) : this.#missingBytes === 0
    ) {
      this.#client = null;
      idle.push(this);
    }
    client?.write(bytes);
  }
}

function headBytesOf(bytes: Buffer): number {
  return bytes.indexOf(HEADERS_END) + HEADERS_END.length;
}

function bodyBytesOf(bytes: Buffer): number | null {
  const found = /\r\ncontent-length: (\d+)/i.exec(bytes.toString("latin1", 0, headBytesOf(bytes)));
  return found === null ? null : Number(found[1]);
}

createServer({ noDelay: true }, (client) => {
  let pieces: Buffer[] = [];
  let missingBytes = 0;
  client.on("error", () => client.destroy());
  client.on("data", (bytes: Buffer) => {
    missingBytes += pieces.length === 0 ? headBytesOf(bytes) + (bodyBytesOf(bytes) ?? 0) : 0;
    missingBytes -= bytes.length;
    pieces.push(bytes);
    if (missingBytes > 0) return;
    const whole = pieces.length === 1 ? bytes : Buffer.concat(pieces);
    pieces = [];
    (idle.pop() ?? new Upstream()).carry(whole, client);
  });
}).listen(port, "127.0.0.1");
for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, () => process.exit(0));
