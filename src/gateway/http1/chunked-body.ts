/** Takes a body out of its chunks (RFC 9112, section 7.1), and accepts only what every other reader would understand the same way. */

import { unreachable } from "../../base/assert.ts";

/** Who gets the body. None of these may be called again once `push` has returned false. */
export interface ChunkListener {
  onBodyData(data: Buffer): void;
}

/** What has become of the bytes. */
export type ChunkProgress = "more" | "end" | "broken" | "extensions too long";

/** Extensions of all chunks, and the trailers, together: nobody has a use for them, and nobody sends many. */
const IGNORED_BYTES_MAX = 16_384;

/** Twelve hexadecimal digits are 256 TiB. */
const SIZE_DIGITS_MAX = 12;

const CARRIAGE_RETURN = 13;
const LINE_FEED = 10;
const SEMICOLON = 59;
const TAB = 9;

type Place =
  | "size"
  | "extension"
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
  /** Of the trailer's current line. */
  #lineBytes = 0;
  #restAt = 0;

  /** Where, in the bytes that were pushed last, the body has ended. */
  get restAt(): number {
    return this.#restAt;
  }

  push(bytes: Buffer, from: number, listener: ChunkListener): ChunkProgress {
    let at = from;
    while (at < bytes.length) {
      if (this.#place === "data") {
        const end = Math.min(bytes.length, at + this.#left);
        listener.onBodyData(bytes.subarray(at, end));
        this.#left -= end - at;
        at = end;
        if (this.#left === 0) this.#place = "after data";
        continue;
      }
      const progress = this.#step(this.#place, bytes[at] ?? 0);
      at += 1;
      if (progress === "more") continue;
      this.#restAt = at;
      return progress;
    }
    return "more";
  }

  #step(place: Exclude<Place, "data">, byte: number): ChunkProgress {
    switch (place) {
      case "size":
        return this.#onSize(byte);
      case "extension":
        return this.#onExtension(byte);
      case "end of size":
        if (byte !== LINE_FEED) return "broken";
        this.#left = this.#size;
        this.#place = this.#size === 0 ? "trailer" : "data";
        this.#size = 0;
        this.#digits = 0;
        this.#lineBytes = 0;
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
        if (this.#lineBytes === 0) return "end";
        this.#lineBytes = 0;
        this.#place = "trailer";
        return "more";
      default:
        return unreachable(place);
    }
  }

  #onSize(byte: number): ChunkProgress {
    const digit = hexadecimal(byte);
    if (digit >= 0) {
      this.#digits += 1;
      this.#size = this.#size * 16 + digit;
      return this.#digits > SIZE_DIGITS_MAX ? "broken" : "more";
    }
    if (this.#digits === 0) return "broken";
    if (byte === CARRIAGE_RETURN) this.#place = "end of size";
    else if (byte === SEMICOLON) this.#place = "extension";
    else return "broken";
    return "more";
  }

  #onExtension(byte: number): ChunkProgress {
    if (byte === CARRIAGE_RETURN) {
      this.#place = "end of size";
      return "more";
    }
    return this.#ignore(byte);
  }

  #onTrailer(byte: number): ChunkProgress {
    if (byte === CARRIAGE_RETURN) {
      this.#place = "end of trailer";
      return "more";
    }
    this.#lineBytes += 1;
    return this.#ignore(byte);
  }

  #ignore(byte: number): ChunkProgress {
    if (byte < 32 && byte !== TAB) return "broken";
    this.#ignored += 1;
    return this.#ignored > IGNORED_BYTES_MAX ? "extensions too long" : "more";
  }
}

/** -1 for what is no digit. */
function hexadecimal(byte: number): number {
  if (byte >= 48 && byte <= 57) return byte - 48;
  const letter = byte | 32;
  return letter >= 97 && letter <= 102 ? letter - 87 : -1;
}
