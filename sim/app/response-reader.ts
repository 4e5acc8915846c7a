/** Reads HTTP/1.1 answers as a client does, so that what the gateway's HTTP server wrote is judged by somebody else's rules. */

/** One answer as far as it has come. */
export interface ReadResponse {
  readonly status: number;
  /** Names in small letters. */
  readonly headers: ReadonlyMap<string, string>;
  readonly body: Buffer;
}

/** Who reads. */
export interface ResponseListener {
  onHead(status: number): void;
  onBody(piece: Buffer, bytesSoFar: number): void;
  onComplete(response: ReadResponse): void;
}

type Framing =
  | { readonly kind: "length"; readonly bytes: number }
  | { readonly kind: "chunked" }
  | { readonly kind: "until the end" };

/** The answers of one connection, one after the other. */
export class ResponseReader {
  readonly #listener: ResponseListener;
  #buffer: Buffer = Buffer.alloc(0);
  #head: { readonly status: number; readonly headers: ReadonlyMap<string, string>; readonly framing: Framing } | null =
    null;
  #body: Buffer[] = [];
  #bodyBytes = 0;

  constructor(listener: ResponseListener) {
    this.#listener = listener;
  }

  /** What has come of an answer that is not complete; null between two answers. */
  get unfinished(): ReadResponse | null {
    if (this.#head === null) return null;
    return { status: this.#head.status, headers: this.#head.headers, body: Buffer.concat(this.#body) };
  }

  /** Bytes that are no answer yet. */
  get pending(): number {
    return this.#buffer.length;
  }

  /** Throws when what comes is no HTTP. */
  push(bytes: Buffer): void {
    this.#buffer = this.#buffer.length === 0 ? bytes : Buffer.concat([this.#buffer, bytes]);
    while (this.#step());
  }

  /** The connection has ended in order: for an answer without length, that is its end. */
  end(): void {
    if (this.#head?.framing.kind === "until the end") this.#complete();
  }

  /** False when more must come first. */
  #step(): boolean {
    if (this.#head === null) return this.#readHead();
    const { framing } = this.#head;
    if (framing.kind === "chunked") return this.#readChunk();
    if (framing.kind === "until the end") {
      if (this.#buffer.length === 0) return false;
      this.#take(this.#buffer.length);
      return false;
    }
    const missing = framing.bytes - this.#bodyBytes;
    if (missing > 0 && this.#buffer.length > 0) this.#take(Math.min(missing, this.#buffer.length));
    if (this.#bodyBytes < framing.bytes) return false;
    this.#complete();
    return this.#buffer.length > 0;
  }

  #readHead(): boolean {
    const end = this.#buffer.indexOf("\r\n\r\n");
    if (end === -1) return false;
    const [statusLine = "", ...lines] = this.#buffer.subarray(0, end).toString("latin1").split("\r\n");
    this.#buffer = this.#buffer.subarray(end + 4);
    const status = Number(/^HTTP\/1\.[01] (\d{3}) /.exec(statusLine)?.[1] ?? NaN);
    if (Number.isNaN(status)) throw new Error(`"${statusLine.slice(0, 80)}" is no status line`);
    if (status < 200) return this.#buffer.length > 0;
    const headers = new Map<string, string>();
    for (const line of lines) {
      const colon = line.indexOf(":");
      headers.set(line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim());
    }
    this.#head = { status, headers, framing: framingOf(headers) };
    this.#listener.onHead(status);
    return true;
  }

  #readChunk(): boolean {
    const lineEnd = this.#buffer.indexOf("\r\n");
    if (lineEnd === -1) return false;
    const line = this.#buffer.subarray(0, lineEnd).toString("latin1");
    if (!/^[0-9a-f]+$/i.test(line)) throw new Error(`"${line.slice(0, 80)}" is no size of a chunk`);
    const size = Number.parseInt(line, 16);
    if (this.#buffer.length < lineEnd + 2 + size + 2) return false;
    this.#buffer = this.#buffer.subarray(lineEnd + 2);
    if (size > 0) this.#take(size);
    if (this.#buffer.subarray(0, 2).toString("latin1") !== "\r\n")
      throw new Error("a chunk does not end where it should");
    this.#buffer = this.#buffer.subarray(2);
    if (size === 0) this.#complete();
    return this.#buffer.length > 0;
  }

  #take(bytes: number): void {
    const piece = this.#buffer.subarray(0, bytes);
    this.#body.push(piece);
    this.#bodyBytes += bytes;
    this.#buffer = this.#buffer.subarray(bytes);
    this.#listener.onBody(piece, this.#bodyBytes);
  }

  #complete(): void {
    const response = this.unfinished;
    this.#head = null;
    this.#body = [];
    this.#bodyBytes = 0;
    if (response !== null) this.#listener.onComplete(response);
  }
}

function framingOf(headers: ReadonlyMap<string, string>): Framing {
  if (headers.get("transfer-encoding")?.toLowerCase() === "chunked") return { kind: "chunked" };
  const length = headers.get("content-length");
  return length === undefined ? { kind: "until the end" } : { kind: "length", bytes: Number(length) };
}
