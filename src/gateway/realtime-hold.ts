/** What a realtime client sends before its engine is there: kept for the engine, answered where the protocol wants an answer. */
import { modelNamedIn } from "./realtime-update.ts";
import {
  CLOSE,
  FrameReader,
  isControl,
  PING,
  TEXT,
  unmask,
  type FrameHeader,
  type FrameListener,
} from "./web-socket-frames.ts";

/** Who waits for the engine. */
export interface HoldOwner {
  /** The client has named its model. */
  onModelNamed(name: string): void;
  onPing(payload: Buffer): void;
  onClose(code: number): void;
  /** So much is kept that the client should not be read any further. */
  onFull(): void;
  /** What the client sends is against the rules; the code says which. */
  onViolation(code: number, reason: string): void;
}

/** Kept in all, in bytes, and in one message that may name the model. */
const KEPT_BYTES_MAX = 1024 * 1024;

const PROTOCOL_ERROR = 1002;
const TOO_BIG = 1009;

/** One connection. Control frames are answered here and not kept; all others are kept byte for byte. */
export class RealtimeHold implements FrameListener {
  readonly #owner: HoldOwner;
  readonly #reader = new FrameReader(this);
  #wantsName: boolean;
  #kept: Buffer[] = [];
  #keptBytes = 0;
  #header: FrameHeader | null = null;
  #payloadBytes = 0;
  #control: Buffer[] = [];
  #message: Buffer[] = [];
  #messageOpcode = 0;
  #isOver = false;

  /** `wantsName`: whether the model is yet to be named by a message. */
  constructor(owner: HoldOwner, wantsName: boolean) {
    this.#owner = owner;
    this.#wantsName = wantsName;
  }

  push(chunk: Buffer): void {
    if (this.#isOver) return;
    if (!this.#reader.push(chunk)) this.#violate(PROTOCOL_ERROR, "these are no frames of a WebSocket");
  }

  /** Everything that the engine is to get before what comes from now on, which it gets directly. */
  release(): Buffer {
    this.#isOver = true;
    const begun = this.#header !== null && isControl(this.#header) ? [this.#header.bytes, ...this.#control] : [];
    return Buffer.concat([...this.#kept, ...begun, this.#reader.headSoFar]);
  }

  onHeader(header: FrameHeader): void {
    this.#header = header;
    this.#payloadBytes = 0;
    this.#control = [];
    if (header.mask === null) return this.#violate(PROTOCOL_ERROR, "a client's frames must be masked");
    if (isControl(header)) return;
    this.#keep(header.bytes);
    if (header.opcode !== 0) this.#messageOpcode = header.opcode;
  }

  onPayload(piece: Buffer): void {
    const header = this.#header;
    if (this.#isOver || header === null || header.mask === null) return;
    if (isControl(header)) this.#control.push(piece);
    else {
      this.#keep(piece);
      if (this.#wantsName) this.#message.push(unmask(piece, header.mask, this.#payloadBytes));
    }
    this.#payloadBytes += piece.length;
  }

  onFrameEnd(): void {
    const header = this.#header;
    this.#header = null;
    if (this.#isOver || header === null || header.mask === null) return;
    if (isControl(header)) this.#onControl(header.opcode, unmask(Buffer.concat(this.#control), header.mask));
    else if (header.isFinal) this.#onMessage();
  }

  #keep(bytes: Buffer): void {
    this.#kept.push(bytes);
    this.#keptBytes += bytes.length;
    if (this.#keptBytes <= KEPT_BYTES_MAX) return;
    if (this.#wantsName) this.#violate(TOO_BIG, "no model was named in the first messages");
    else this.#owner.onFull();
  }

  #onControl(opcode: number, payload: Buffer): void {
    if (opcode === PING) this.#owner.onPing(payload);
    else if (opcode === CLOSE) this.#owner.onClose(payload.length >= 2 ? payload.readUInt16BE() : 1005);
  }

  #onMessage(): void {
    const message = this.#message;
    this.#message = [];
    if (!this.#wantsName || this.#messageOpcode !== TEXT) return;
    const name = modelNamedIn(Buffer.concat(message).toString());
    if (name === null) return;
    this.#wantsName = false;
    this.#owner.onModelNamed(name);
  }

  #violate(code: number, reason: string): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#owner.onViolation(code, reason);
  }
}
