/** The chunked transfer coding, read as it comes: data piece by piece, or whole chunks with their framing. */
import { errors } from "undici";
import { hexDigit } from "../../base/http-text.ts";
import { malformed } from "./answer-head.ts";

/** Who hears of it. The bytes are those that are being read: they must be copied. */
export interface BodyListener {
  /** While it is true nothing is told. */
  readonly isStopped: boolean;
  /** Whether whole chunks are to be told by `onFrames`. */
  readonly wantsFrames: boolean;
  onData(bytes: Buffer, from: number, to: number): void;
  /** Whole chunks without extensions, `dataBytes` of them data. */
  onFrames(bytes: Buffer, from: number, to: number, dataBytes: number): void;
}

type Place =
  | "in a size"
  | "in an extension"
  | "before the line feed of a size"
  | "in data"
  | "after data"
  | "before the line feed of data"
  | "before a trailer"
  | "in a trailer"
  | "before the line feed of a trailer"
  | "before the last line feed"
  | "complete";

const CARRIAGE_RETURN = 13;
const LINE_FEED = 10;
const SEMICOLON = 0x3b;
const TAB = 9;
const SPACE = 0x20;
const DELETE = 0x7f;

/** No engine sends a chunk of 4 GB. */
const SIZE_DIGITS_MAX = 8;

/** Of one extension, and of all trailers. */
const TEXT_BYTES_MAX = 64 * 1024;

/** One chunked body. Extensions and trailers are passed over. */
export class ChunkedBody {
  readonly #listener: BodyListener;
  #place: Place = "in a size";
  #size = 0;
  #sizeDigits = 0;
  #textBytes = 0;

  constructor(listener: BodyListener) {
    this.#listener = listener;
  }

  get isComplete(): boolean {
    return this.#place === "complete";
  }

  /** To be called before each further body. */
  begin(): void {
    this.#place = "in a size";
    this.#size = 0;
    this.#sizeDigits = 0;
    this.#textBytes = 0;
  }

  /**
   * Reads from `from` to `to`, or to where the listener is stopped or the body ends; returns where that is.
   * Throws `HTTPParserError` or, where a trailer is too long, `HeadersOverflowError`.
   */
  read(bytes: Buffer, from: number, to: number): number {
    let at = from;
    while (at < to && this.#place !== "complete" && !this.#listener.isStopped) {
      if (this.#place === "in data") at = this.#passData(bytes, at, to);
      else if (this.#place === "in a size" && this.#sizeDigits === 0 && this.#listener.wantsFrames) {
        const end = this.#passFrames(bytes, at, to);
        at = end > at ? end : this.#step(bytes[at] ?? 0, at);
      } else at = this.#step(bytes[at] ?? 0, at);
    }
    return at;
  }

  #passData(bytes: Buffer, at: number, to: number): number {
    const end = Math.min(to, at + this.#size);
    this.#size -= end - at;
    if (this.#size === 0) this.#place = "after data";
    this.#listener.onData(bytes, at, end);
    return end;
  }

  /** Tells the complete chunks from here on, all at once, and returns where they end. What is wrong is found by whoever goes on there. */
  #passFrames(bytes: Buffer, from: number, to: number): number {
    let end = from;
    let dataBytes = 0;
    for (;;) {
      let at = end;
      let size = 0;
      for (let digit = hexDigit(bytes[at] ?? 0); at < to && digit !== -1; digit = hexDigit(bytes[at] ?? 0)) {
        size = size * 16 + digit;
        at += 1;
      }
      const next = at + 2 + size + 2;
      if (size === 0 || at - end > SIZE_DIGITS_MAX || next > to) break;
      if (!isLineEnd(bytes, at) || !isLineEnd(bytes, next - 2)) break;
      dataBytes += size;
      end = next;
    }
    if (end > from) this.#listener.onFrames(bytes, from, end, dataBytes);
    return end;
  }

  /** Anything but data. */
  #step(byte: number, at: number): number {
    switch (this.#place) {
      case "in a size":
        this.#stepInSize(byte);
        break;
      case "in an extension":
        if (this.#endsText(byte)) this.#place = "before the line feed of a size";
        break;
      case "before the line feed of a size":
        expect(byte, LINE_FEED);
        this.#place = this.#size === 0 ? "before a trailer" : "in data";
        this.#sizeDigits = 0;
        this.#textBytes = 0;
        break;
      case "after data":
        expect(byte, CARRIAGE_RETURN);
        this.#place = "before the line feed of data";
        break;
      case "before the line feed of data":
        expect(byte, LINE_FEED);
        this.#place = "in a size";
        break;
      case "before a trailer":
        this.#place = byte === CARRIAGE_RETURN ? "before the last line feed" : "in a trailer";
        if (this.#place === "in a trailer") this.#endsText(byte);
        break;
      case "in a trailer":
        if (this.#endsText(byte)) this.#place = "before the line feed of a trailer";
        break;
      case "before the line feed of a trailer":
        expect(byte, LINE_FEED);
        this.#place = "before a trailer";
        break;
      case "before the last line feed":
        expect(byte, LINE_FEED);
        this.#place = "complete";
        break;
      case "in data":
      case "complete":
        break;
    }
    return at + 1;
  }

  #stepInSize(byte: number): void {
    const digit = hexDigit(byte);
    if (digit !== -1) {
      this.#size = this.#size * 16 + digit;
      this.#sizeDigits += 1;
      if (this.#sizeDigits > SIZE_DIGITS_MAX) throw malformed("the size of a chunk is too long");
      return;
    }
    if (this.#sizeDigits === 0) throw malformed("the size of a chunk is missing");
    if (byte === CARRIAGE_RETURN) this.#place = "before the line feed of a size";
    else if (byte === SEMICOLON) this.#place = "in an extension";
    else throw malformed("the size of a chunk is invalid");
  }

  /** Of text that nobody reads, whether its line ends here. */
  #endsText(byte: number): boolean {
    if (byte === CARRIAGE_RETURN) return true;
    if ((byte < SPACE && byte !== TAB) || byte === DELETE) throw malformed("a control character between chunks");
    this.#textBytes += 1;
    if (this.#textBytes > TEXT_BYTES_MAX) throw new errors.HeadersOverflowError();
    return false;
  }
}

function expect(byte: number, expected: number): void {
  if (byte !== expected) throw malformed("a line does not end where it should");
}

function isLineEnd(bytes: Buffer, at: number): boolean {
  return bytes[at] === CARRIAGE_RETURN && bytes[at + 1] === LINE_FEED;
}
