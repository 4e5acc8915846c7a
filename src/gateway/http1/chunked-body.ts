/** Takes a body out of its chunks (RFC 9112, section 7.1), and accepts only what every other reader would understand the same way. */

import { unreachable } from "../../base/assert.ts";
import { hexDigit } from "../../base/http-text.ts";
import { readHeaderLines } from "./request-head.ts";

/** Who gets the body. */
export interface ChunkListener {
  onBodyData(data: Buffer): void;
}

/** What has become of the bytes. */
export type ChunkProgress = "more" | "end" | "broken" | "extensions too long";

/** Extensions of all chunks, and the trailers, together: nobody has a use for them, and nobody sends many. */
const IGNORED_BYTES_MAX = 16_384;

/** Twelve hexadecimal digits are 256 TiB. */
const SIZE_DIGITS_MAX = 12;

/** Behind a body they would have come too late: whoever believes them all the same finds another end. */
const FRAMING_HEADERS: ReadonlySet<string> = new Set(["content-length", "transfer-encoding"]);

const CARRIAGE_RETURN = 13;
const LINE_FEED = 10;
const SEMICOLON = 59;
const EQUALS = 61;
const TAB = 9;

/** Of a token (RFC 9110, section 5.6.2), by its code. */
const IS_TOKEN: readonly boolean[] = Array.from({ length: 256 }, (_, code) =>
  /[!#$%&'*+\-.^_`|~0-9A-Za-z]/.test(String.fromCodePoint(code)),
);

type Place =
  | "size"
  | "extension name"
  | "extension value"
  | "end of size"
  | "data"
  | "after data"
  | "end of data"
  | "trailer"
  | "end of trailer";

/** One body. */
export class ChunkedBody {
  #place: Place = "size";
  #digits = 0;
  #size = 0;
  #left = 0;
  #ignored = 0;
  /** Of the name or the value of an extension. */
  #tokenBytes = 0;
  /** All its lines so far. */
  #trailer = "";
  #lineBytes = 0;
  #restAt = 0;

  /** Where, in the bytes that were pushed last, the body has ended. */
  get restAt(): number {
    return this.#restAt;
  }

  /**
   * The data of all chunks in `bytes` goes to the listener as one piece: it is moved together in place, up to the rest that belongs to
   * what follows. Otherwise a client that sends chunks of one byte would have us keep a hundred for each.
   */
  push(bytes: Buffer, from: number, listener: ChunkListener): ChunkProgress {
    let at = from;
    let dataAt = 0;
    let dataEnd = 0;
    let progress: ChunkProgress = "more";
    while (at < bytes.length && progress === "more") {
      if (this.#place !== "data") {
        progress = this.#step(this.#place, bytes[at] ?? 0);
        at += 1;
        continue;
      }
      const end = Math.min(bytes.length, at + this.#left);
      if (dataAt === dataEnd) {
        dataAt = at;
        dataEnd = end;
      } else {
        bytes.copyWithin(dataEnd, at, end);
        dataEnd += end - at;
      }
      this.#left -= end - at;
      at = end;
      if (this.#left === 0) this.#place = "after data";
    }
    this.#restAt = at;
    if (dataEnd > dataAt) listener.onBodyData(bytes.subarray(dataAt, dataEnd));
    return progress;
  }

  #step(place: Exclude<Place, "data">, byte: number): ChunkProgress {
    switch (place) {
      case "size":
        return this.#onSize(byte);
      case "extension name":
      case "extension value":
        return this.#onExtension(place, byte);
      case "end of size":
        if (byte !== LINE_FEED) return "broken";
        this.#left = this.#size;
        this.#place = this.#size === 0 ? "trailer" : "data";
        this.#size = 0;
        this.#digits = 0;
        return "more";
      case "after data":
        this.#place = "end of data";
        return byte === CARRIAGE_RETURN ? "more" : "broken";
      case "end of data":
        this.#place = "size";
        return byte === LINE_FEED ? "more" : "broken";
      case "trailer":
        return this.#onTrailer(byte);
      case "end of trailer":
        if (byte !== LINE_FEED) return "broken";
        if (this.#lineBytes === 0) return this.#onEnd();
        this.#trailer += "\r\n";
        this.#lineBytes = 0;
        this.#place = "trailer";
        return "more";
      default:
        return unreachable(place);
    }
  }

  #onSize(byte: number): ChunkProgress {
    const digit = hexDigit(byte);
    if (digit >= 0) {
      this.#digits += 1;
      this.#size = this.#size * 16 + digit;
      return this.#digits > SIZE_DIGITS_MAX ? "broken" : "more";
    }
    return this.#digits === 0 ? "broken" : this.#onSizeOver(byte);
  }

  /** Names and tokens as their values; quoted strings have been read in two ways, and nobody sends them. */
  #onExtension(place: "extension name" | "extension value", byte: number): ChunkProgress {
    if (IS_TOKEN[byte] === true) {
      this.#tokenBytes += 1;
      return this.#ignore();
    }
    if (this.#tokenBytes === 0) return "broken";
    if (byte !== EQUALS || place === "extension value") return this.#onSizeOver(byte);
    this.#tokenBytes = 0;
    this.#place = "extension value";
    return this.#ignore();
  }

  #onSizeOver(byte: number): ChunkProgress {
    if (byte === CARRIAGE_RETURN) {
      this.#place = "end of size";
      return "more";
    }
    if (byte !== SEMICOLON) return "broken";
    this.#tokenBytes = 0;
    this.#place = "extension name";
    return this.#ignore();
  }

  #onTrailer(byte: number): ChunkProgress {
    if (byte === CARRIAGE_RETURN) {
      this.#place = "end of trailer";
      return "more";
    }
    if ((byte < 32 && byte !== TAB) || byte === 127) return "broken";
    this.#trailer += String.fromCodePoint(byte);
    this.#lineBytes += 1;
    return this.#ignore();
  }

  #onEnd(): ChunkProgress {
    if (this.#trailer === "") return "end";
    const headers = readHeaderLines(this.#trailer);
    return headers === null || headers.some((text, index) => index % 2 === 0 && FRAMING_HEADERS.has(text))
      ? "broken"
      : "end";
  }

  #ignore(): ChunkProgress {
    this.#ignored += 1;
    return this.#ignored > IGNORED_BYTES_MAX ? "extensions too long" : "more";
  }
}
