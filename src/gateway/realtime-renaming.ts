/** What a realtime client says, on its way to an engine that knows the model by another name: byte for byte, but for that name. */
import { randomBytes } from "node:crypto";
import { withModelNamed } from "./realtime-update.ts";
import {
  frame,
  FrameReader,
  isControl,
  TEXT,
  unmask,
  type FrameHeader,
  type FrameListener,
} from "./web-socket-frames.ts";

/** A longer text is passed on as it comes: it names no model. */
const TEXT_BYTES_MAX = 1024 * 1024;

/** One client's side of a connection. A text is held until it is whole; everything else goes on at once. */
export class RealtimeRenaming implements FrameListener {
  readonly #name: string;
  readonly #isMeant: (name: string) => boolean;
  readonly #reader = new FrameReader(this);
  #out: Buffer[] = [];
  /** The frame that is being read belongs to a text that is held. */
  #isHeld = false;
  #header: FrameHeader | null = null;
  /** The held text as it came, and what it says. */
  #frames: Buffer[] = [];
  #text: Buffer[] = [];
  #textBytes = 0;
  #payloadBytes = 0;

  /** `name` is the engine's, and takes the place of those that are `meant`. */
  constructor(name: string, isMeant: (name: string) => boolean) {
    this.#name = name;
    this.#isMeant = isMeant;
  }

  /** Returns what the engine gets now; it may be nothing. Null, and then it must not be called again, when the bytes are no frames. */
  push(chunk: Buffer): Buffer | null {
    const isRight = this.#reader.push(chunk);
    const out = Buffer.concat(this.#out);
    this.#out = [];
    return isRight ? out : null;
  }

  onHeader(header: FrameHeader): void {
    this.#header = header;
    this.#payloadBytes = 0;
    if (!isControl(header) && header.opcode !== 0) this.#isHeld = header.opcode === TEXT;
    this.#pass(header.bytes, header);
  }

  onPayload(piece: Buffer): void {
    const header = this.#header;
    if (header === null) return;
    this.#pass(piece, header);
    // It is the engine's to refuse what is not masked.
    if (!this.#isHeld || isControl(header) || header.mask === null) return;
    this.#text.push(unmask(piece, header.mask, this.#payloadBytes));
    this.#payloadBytes += piece.length;
    this.#textBytes += piece.length;
    if (this.#textBytes > TEXT_BYTES_MAX) this.#letGo();
  }

  onFrameEnd(): void {
    const header = this.#header;
    if (!this.#isHeld || header === null || isControl(header) || !header.isFinal) return;
    const renamed = withModelNamed(Buffer.concat(this.#text).toString(), this.#isMeant, this.#name);
    if (renamed !== null) this.#frames = [frame(TEXT, Buffer.from(renamed), randomBytes(4))];
    this.#letGo();
  }

  #pass(bytes: Buffer, header: FrameHeader): void {
    (this.#isHeld && !isControl(header) ? this.#frames : this.#out).push(bytes);
  }

  #letGo(): void {
    this.#isHeld = false;
    this.#out.push(...this.#frames);
    this.#frames = [];
    this.#text = [];
    this.#textBytes = 0;
  }
}

/** A query, with its question mark or empty, with `name` as the model that it names, if it names one. */
export function withModelInQuery(query: string, name: string): string {
  const parts = query.slice(1).split("&");
  const renamed = parts.map((part) =>
    new URLSearchParams(part).has("model") ? `model=${encodeURIComponent(name)}` : part,
  );
  return query === "" ? "" : `?${renamed.join("&")}`;
}
