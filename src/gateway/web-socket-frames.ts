/** Frames of a WebSocket (RFC 6455, section 5): their borders in a stream of bytes, and the few that are made here. */

/** The beginning of a frame. */
export interface FrameHeader {
  readonly isFinal: boolean;
  readonly opcode: number;
  /** Null where the payload is as it is. */
  readonly mask: Buffer | null;
  readonly payloadBytes: number;
  /** The header itself. */
  readonly bytes: Buffer;
}

/** Who reads frames. */
export interface FrameListener {
  onHeader(header: FrameHeader): void;
  /** A piece of the payload, as it is on the wire. */
  onPayload(piece: Buffer): void;
  /** The frame is whole. */
  onFrameEnd(): void;
}

export const TEXT = 1;
export const CLOSE = 8;
export const PING = 9;
export const PONG = 10;

const OPCODES: ReadonlySet<number> = new Set([0, TEXT, 2, CLOSE, PING, PONG]);

/** Control frames are not longer, nor split. */
const CONTROL_BYTES_MAX = 125;

/** Splits what comes into frames, wherever it is cut, and keeps nothing of their payload. */
export class FrameReader {
  readonly #listener: FrameListener;
  #head = Buffer.alloc(0);
  #remaining = 0;
  #isInPayload = false;

  constructor(listener: FrameListener) {
    this.#listener = listener;
  }

  /** Whether the next byte begins a frame. */
  get isAtBorder(): boolean {
    return !this.#isInPayload && this.#head.length === 0;
  }

  /** The part of a header that has come, if one has begun. */
  get headSoFar(): Buffer {
    return this.#head;
  }

  /** Returns false, and must not be called again, when the bytes are no frames. */
  push(chunk: Buffer): boolean {
    let at = 0;
    while (at < chunk.length) {
      if (!this.#isInPayload) {
        const used = this.#readHeader(chunk, at);
        if (used === null) return false;
        at += used;
      } else {
        const piece = chunk.subarray(at, at + this.#remaining);
        at += piece.length;
        this.#remaining -= piece.length;
        this.#listener.onPayload(piece);
        if (this.#remaining === 0) this.#endFrame();
      }
    }
    return true;
  }

  /** Returns how many bytes of the chunk belong to the header; null if it is none. */
  #readHeader(chunk: Buffer, at: number): number | null {
    const before = this.#head.length;
    const head = Buffer.concat([this.#head, chunk.subarray(at, at + HEADER_BYTES_MAX - before)]);
    const length = headerLength(head);
    if (length === null || head.length < length) {
      this.#head = head;
      return head.length - before;
    }
    const header = parseHeader(head.subarray(0, length));
    if (header === null) return null;
    this.#head = Buffer.alloc(0);
    this.#remaining = header.payloadBytes;
    this.#isInPayload = true;
    this.#listener.onHeader(header);
    if (this.#remaining === 0) this.#endFrame();
    return length - before;
  }

  #endFrame(): void {
    this.#isInPayload = false;
    this.#listener.onFrameEnd();
  }
}

const HEADER_BYTES_MAX = 14;

/** Null while too little has come to know. */
function headerLength(head: Buffer): number | null {
  const second = head[1];
  if (second === undefined) return null;
  const short = second & 0x7f;
  return 2 + (short === 126 ? 2 : short === 127 ? 8 : 0) + ((second & 0x80) === 0 ? 0 : 4);
}

/** Null for one that the protocol does not have. */
function parseHeader(bytes: Buffer): FrameHeader | null {
  const [first = 0, second = 0] = bytes;
  const opcode = first & 0x0f;
  const isFinal = (first & 0x80) !== 0;
  // The three bits between are for extensions, and none has been agreed on.
  if ((first & 0x70) !== 0 || !OPCODES.has(opcode)) return null;
  const short = second & 0x7f;
  const payloadBytes = short === 126 ? bytes.readUInt16BE(2) : short === 127 ? Number(bytes.readBigUInt64BE(2)) : short;
  if (!Number.isSafeInteger(payloadBytes)) return null;
  if (opcode >= CLOSE && (!isFinal || payloadBytes > CONTROL_BYTES_MAX)) return null;
  const mask = (second & 0x80) === 0 ? null : bytes.subarray(-4);
  return { isFinal, opcode, mask, payloadBytes, bytes };
}

/** Takes the mask from a payload, or puts it on; `offset` is how much of the payload stands before this piece. */
export function unmask(piece: Buffer, mask: Buffer, offset = 0): Buffer {
  const plain = Buffer.allocUnsafe(piece.length);
  for (let at = 0; at < piece.length; at += 1) plain[at] = (piece[at] ?? 0) ^ (mask[(offset + at) % 4] ?? 0);
  return plain;
}

/** A whole frame: as servers send them, or with a mask, as clients do. */
export function frame(opcode: number, payload: Buffer, mask: Buffer | null = null): Buffer {
  const { length } = payload;
  const head = length < 126 ? Buffer.alloc(2) : length < 65_536 ? Buffer.alloc(4) : Buffer.alloc(10);
  head[0] = 0x80 | opcode;
  if (length < 126) head[1] = length;
  else if (length < 65_536) {
    head[1] = 126;
    head.writeUInt16BE(length, 2);
  } else {
    head[1] = 127;
    head.writeBigUInt64BE(BigInt(length), 2);
  }
  if (mask === null) return Buffer.concat([head, payload]);
  head[1] = (head[1] ?? 0) | 0x80;
  return Buffer.concat([head, mask, unmask(payload, mask)]);
}

/** Whether it may stand between the frames of a message. */
export function isControl({ opcode }: FrameHeader): boolean {
  return opcode >= CLOSE;
}

/** A frame that ends the connection. The reason is cut to what it has room for. */
export function closeFrame(code: number, reason: string): Buffer {
  const payload = Buffer.alloc(2);
  payload.writeUInt16BE(code);
  let text = reason;
  while (Buffer.byteLength(text) > CONTROL_BYTES_MAX - 2) text = text.slice(0, -1);
  return frame(CLOSE, Buffer.concat([payload, Buffer.from(text)]));
}
