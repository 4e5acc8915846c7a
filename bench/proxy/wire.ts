/** The benchmark's client: bare sockets and just enough HTTP to know where an answer ends, so that it takes little of the CPU. */
import { once } from "node:events";
import { connect, type Socket } from "node:net";

const HEADERS_END = Buffer.from("\r\n\r\n");
const LAST_CHUNK = Buffer.from("0\r\n\r\n");

/** What is known of an answer that has come whole. */
export interface WireAnswer {
  readonly status: number;
  readonly bytes: number;
}

/** One kept-alive connection: one request at a time. */
export class Wire {
  readonly #socket: Socket;
  #head: Buffer | null = null;
  #status = 0;
  /** Of the body; -1 for one that comes in chunks. */
  #missingBytes = 0;
  #bytes = 0;
  #tail: Buffer = Buffer.alloc(0);
  #isInBody = false;
  #answered: { resolve: (answer: WireAnswer) => void; reject: (error: Error) => void } | null = null;
  #onFirstByte: (() => void) | null = null;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on("data", (bytes: Buffer) => this.#onData(bytes));
    socket.on("error", (error) => this.#fail(error));
    socket.on("close", () => this.#fail(new Error(`the connection was closed after ${this.#bytes} bytes`)));
  }

  /** Rejects when nobody listens there. */
  static async open(port: number): Promise<Wire> {
    const socket = connect({ port, host: "127.0.0.1", noDelay: true });
    await once(socket, "connect");
    return new Wire(socket);
  }

  /** Sends a request as it is; resolves when its answer is whole, rejects when the connection ends before that. */
  ask(request: Buffer, onFirstByte: (() => void) | null = null): Promise<WireAnswer> {
    this.#onFirstByte = onFirstByte;
    this.#bytes = 0;
    return new Promise((resolve, reject) => {
      this.#answered = { resolve, reject };
      this.#socket.write(request);
    });
  }

  close(): void {
    this.#answered = null;
    this.#socket.destroy();
  }

  #onData(bytes: Buffer): void {
    if (this.#isInBody) return this.#onBody(bytes);
    const head = this.#head === null ? bytes : Buffer.concat([this.#head, bytes]);
    const end = head.indexOf(HEADERS_END);
    this.#head = end === -1 ? head : null;
    if (end === -1) return;
    const text = head.toString("latin1", 0, end);
    this.#status = Number(text.slice(9, 12));
    const length = /\r\ncontent-length: *(\d+)/i.exec(text)?.[1];
    this.#missingBytes = length === undefined ? -1 : Number(length);
    this.#isInBody = true;
    this.#tail = Buffer.alloc(0);
    if (end + HEADERS_END.length < head.length || this.#missingBytes === 0) {
      this.#onBody(head.subarray(end + HEADERS_END.length));
    }
  }

  #onBody(bytes: Buffer): void {
    this.#bytes += bytes.length;
    this.#onFirstByte?.();
    this.#onFirstByte = null;
    if (this.#missingBytes >= 0) {
      this.#missingBytes -= bytes.length;
      if (this.#missingBytes === 0) this.#finish();
    } else if (this.#endsWithLastChunk(bytes)) this.#finish();
  }

  /** Where it is cut may be anywhere. */
  #endsWithLastChunk(bytes: Buffer): boolean {
    const seen = bytes.length >= LAST_CHUNK.length ? bytes : Buffer.concat([this.#tail, bytes]);
    this.#tail = seen.subarray(-LAST_CHUNK.length);
    return this.#tail.equals(LAST_CHUNK);
  }

  #finish(): void {
    const answered = this.#answered;
    this.#answered = null;
    this.#isInBody = false;
    answered?.resolve({ status: this.#status, bytes: this.#bytes });
  }

  #fail(error: Error): void {
    const answered = this.#answered;
    this.#answered = null;
    answered?.reject(error);
  }
}
