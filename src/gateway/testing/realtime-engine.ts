/** A realtime engine for tests: greets, echoes every text, and does what a test tells it to. */
import { createHash } from "node:crypto";
import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import {
  CLOSE,
  closeFrame,
  frame,
  FrameReader,
  PING,
  PONG,
  TEXT,
  unmask,
  type FrameHeader,
} from "../web-socket-frames.ts";
import type { FakeEngine } from "./fake-engine.ts";

/** Those who are connected to one fake engine. */
export class RealtimeEngine {
  readonly requests: IncomingMessage[] = [];
  /** Every text that has come. */
  readonly texts: string[] = [];
  readonly pongs: string[] = [];
  /** The codes with which clients have said good-bye; 0 for those who have not, 1005 for those who gave none. */
  readonly farewells: number[] = [];
  sockets: readonly Duplex[] = [];
  greets = true;

  constructor(engine: FakeEngine) {
    engine.upgradeHandler = (request, socket) => this.#onUpgrade(request, socket);
  }

  /** To all that are connected. */
  say(text: string): void {
    for (const socket of this.sockets) socket.write(frame(TEXT, Buffer.from(text)));
  }

  #onUpgrade(request: IncomingMessage, socket: Duplex): void {
    this.requests.push(request);
    this.sockets = [...this.sockets, socket];
    const accept = createHash("sha1").update(
      `${request.headers["sec-websocket-key"]}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`,
    );
    socket.write(
      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
        `Sec-WebSocket-Accept: ${accept.digest("base64")}\r\n\r\n`,
    );
    if (this.greets) socket.write(frame(TEXT, Buffer.from('{"type":"session.created","id":"of the engine"}')));
    let header: FrameHeader | null = null;
    let payload: Buffer[] = [];
    let farewell = 0;
    const reader = new FrameReader({
      onHeader: (next) => (header = next),
      onPayload: (piece) => payload.push(piece),
      onFrameEnd: () => {
        const { opcode = 0, mask = null } = header ?? {};
        const plain = unmask(Buffer.concat(payload), mask ?? Buffer.alloc(4));
        payload = [];
        if (opcode === TEXT) {
          this.texts.push(plain.toString());
          socket.write(frame(TEXT, plain));
        } else if (opcode === PING) socket.write(frame(PONG, plain));
        else if (opcode === PONG) this.pongs.push(plain.toString());
        else if (opcode === CLOSE) {
          farewell = plain.length === 0 ? 1005 : plain.readUInt16BE();
          socket.end(plain.length === 0 ? frame(CLOSE, plain) : closeFrame(farewell, ""));
        }
      },
    });
    socket.on("data", (chunk: Buffer) => reader.push(chunk));
    socket.on("error", () => {});
    socket.on("end", () => socket.end());
    socket.on("close", () => {
      this.sockets = this.sockets.filter((one) => one !== socket);
      this.farewells.push(farewell);
    });
  }
}
