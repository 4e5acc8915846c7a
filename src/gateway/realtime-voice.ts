/** What a realtime engine says, on its way to the client: byte for byte, but for a greeting that the client has had already. */
import { CLOSE, FrameReader, TEXT, type FrameHeader, type FrameListener } from "./web-socket-frames.ts";

/** A longer first message is no greeting. */
const GREETING_BYTES_MAX = 64 * 1024;

/** One engine's side of a connection. */
export class RealtimeVoice implements FrameListener {
  readonly #reader = new FrameReader(this);
  readonly #skipsGreeting: boolean;
  #isFirst = true;
  #held: Buffer[] = [];
  #heldBytes = 0;
  #payload: Buffer[] = [];
  #opcode = 0;
  #hasClosed = false;
  #isLost = false;

  /** `skipsGreeting`: the client has been greeted by the gateway. */
  constructor(skipsGreeting: boolean) {
    this.#skipsGreeting = skipsGreeting;
  }

  /** Whether a frame of our own may follow what was passed on. */
  get isAtBorder(): boolean {
    return !this.#isLost && this.#reader.isAtBorder && this.#held.length === 0;
  }

  /** Whether the engine has said good-bye. */
  get hasClosed(): boolean {
    return this.#hasClosed;
  }

  /** Returns what the client gets now; it may be nothing. */
  push(chunk: Buffer): Buffer {
    // Bytes that are no frames are the client's to judge; we only do not know any more where one ends.
    if (this.#isLost) return chunk;
    if (!this.#reader.push(chunk)) this.#isLost = true;
    if (!this.#skipsGreeting) return chunk;
    const out = Buffer.concat(this.#isFirst && !this.#isLost ? [] : this.#held);
    if (out.length > 0) this.#held = [];
    return out;
  }

  onHeader(header: FrameHeader): void {
    this.#opcode = header.opcode;
    if (header.opcode === CLOSE) this.#hasClosed = true;
    this.#hold(header.bytes);
  }

  onPayload(piece: Buffer): void {
    this.#hold(piece);
    if (this.#isFirst && this.#skipsGreeting) this.#payload.push(piece);
    if (this.#heldBytes > GREETING_BYTES_MAX) this.#isFirst = false;
  }

  onFrameEnd(): void {
    if (this.#isFirst && this.#skipsGreeting && this.#opcode === TEXT && isGreeting(this.#payload)) this.#held = [];
    this.#isFirst = false;
    this.#payload = [];
  }

  #hold(bytes: Buffer): void {
    if (!this.#skipsGreeting) return;
    this.#held.push(bytes);
    this.#heldBytes += bytes.length;
  }
}

function isGreeting(payload: readonly Buffer[]): boolean {
  try {
    const message: unknown = JSON.parse(Buffer.concat(payload).toString());
    return typeof message === "object" && message !== null && Reflect.get(message, "type") === "session.created";
  } catch {
    return false;
  }
}
