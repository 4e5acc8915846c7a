/** The server's side of a WebSocket (RFC 6455), as far as the stand-in needs it: texts both ways, pings answered, an orderly end. */
import { createHash } from "node:crypto";
import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";

/** What comes of a connection. */
export interface WebSocketEvents {
  onText(text: string): void;
  /** A message that is no text. */
  onBinary(): void;
  /** Called once; nothing can be sent any more. */
  onClosed(): void;
}

const opcodes = { continuation: 0, text: 1, close: 8, ping: 9, pong: 10 } as const;

/** The largest message taken, in bytes, as uvicorn has it. */
const messageBytesMax = 16 * 2 ** 20;

const closeCodes = { normal: 1000, protocolError: 1002, noStatus: 1005, tooBig: 1009 } as const;

interface Frame {
  readonly isFinal: boolean;
  readonly opcode: number;
  readonly payload: Buffer;
}

/** One connection, open when it is made. */
export class WebSocketConnection {
  readonly #socket: Duplex;
  readonly #events: WebSocketEvents;
  #received = Buffer.alloc(0);
  #message: Buffer[] = [];
  #messageIsText = false;
  #hasSaidGoodbye = false;
  #isClosed = false;

  /** Answers the handshake. `head` is what has come behind it. */
  constructor(request: IncomingMessage, socket: Duplex, head: Buffer, events: WebSocketEvents) {
    this.#socket = socket;
    this.#events = events;
    const key = request.headers["sec-websocket-key"] ?? "";
    const accept = createHash("sha1").update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64");
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\nserver: uvicorn\r\n\r\n`,
    );
    socket.on("error", () => {});
    socket.on("close", () => this.#onClosed());
    socket.on("end", () => socket.end());
    socket.on("data", (chunk: Buffer) => this.#onData(chunk));
    if (head.length > 0) queueMicrotask(() => this.#onData(head));
  }

  send(text: string): void {
    if (!this.#hasSaidGoodbye && !this.#isClosed) this.#write(opcodes.text, Buffer.from(text));
  }

  /** Says good-bye, and ends the connection. */
  close(code: number): void {
    if (this.#hasSaidGoodbye || this.#isClosed) return;
    this.#hasSaidGoodbye = true;
    const payload = Buffer.alloc(code === closeCodes.noStatus ? 0 : 2);
    if (payload.length > 0) payload.writeUInt16BE(code);
    this.#write(opcodes.close, payload);
    this.#socket.end();
  }

  #onClosed(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#events.onClosed();
  }

  #onData(chunk: Buffer): void {
    this.#received = Buffer.concat([this.#received, chunk]);
    while (!this.#hasSaidGoodbye) {
      const frame = this.#takeFrame();
      if (frame === undefined) return;
      this.#onFrame(frame);
    }
  }

  #takeFrame(): Frame | undefined {
    const bytes = this.#received;
    if (bytes.length < 2) return undefined;
    const [first = 0, second = 0] = bytes;
    const short = second & 0x7f;
    const lengthBytes = short === 127 ? 8 : short === 126 ? 2 : 0;
    const headBytes = 2 + lengthBytes + 4;
    if (bytes.length < headBytes) return undefined;
    const length =
      lengthBytes === 8 ? Number(bytes.readBigUInt64BE(2)) : lengthBytes === 2 ? bytes.readUInt16BE(2) : short;
    if ((second & 0x80) === 0 || (first & 0x70) !== 0) return this.#refuse(closeCodes.protocolError);
    if (length > messageBytesMax) return this.#refuse(closeCodes.tooBig);
    if (bytes.length < headBytes + length) return undefined;
    const mask = bytes.subarray(headBytes - 4, headBytes);
    const payload = Buffer.from(bytes.subarray(headBytes, headBytes + length));
    for (let at = 0; at < length; at += 1) payload[at] = (payload[at] ?? 0) ^ (mask[at % 4] ?? 0);
    this.#received = bytes.subarray(headBytes + length);
    return { isFinal: (first & 0x80) !== 0, opcode: first & 0x0f, payload };
  }

  #refuse(code: number): undefined {
    this.close(code);
    return undefined;
  }

  #onFrame({ isFinal, opcode, payload }: Frame): void {
    if (opcode === opcodes.ping) return this.#write(opcodes.pong, payload);
    if (opcode === opcodes.pong) return;
    if (opcode === opcodes.close) {
      return this.close(payload.length < 2 ? closeCodes.noStatus : payload.readUInt16BE());
    }
    if (opcode !== opcodes.continuation) this.#messageIsText = opcode === opcodes.text;
    this.#message.push(payload);
    if (!isFinal) return;
    const message = Buffer.concat(this.#message);
    this.#message = [];
    if (this.#messageIsText) this.#events.onText(message.toString());
    else this.#events.onBinary();
  }

  #write(opcode: number, payload: Buffer): void {
    if (!this.#socket.writable) return;
    const { length } = payload;
    const head = Buffer.alloc(length < 126 ? 2 : length < 65_536 ? 4 : 10);
    head[0] = 0x80 | opcode;
    head[1] = length < 126 ? length : length < 65_536 ? 126 : 127;
    if (head.length === 4) head.writeUInt16BE(length, 2);
    if (head.length === 10) head.writeBigUInt64BE(BigInt(length), 2);
    this.#socket.write(Buffer.concat([head, payload]));
  }
}
