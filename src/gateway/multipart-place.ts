/** Where in a multipart form the value of its field `model` stands: the parser that reads forms does not tell. */
import type { ByteSpan } from "./body-ask.ts";

/** All headers of a part, and a value that is looked for. */
const HEADER_BYTES_MAX = 16 * 1024;
const VALUE_BYTES_MAX = 8 * 1024;

const LINE_END = "\r\n";

type State = "between" | "behind a boundary" | "headers" | "value" | "over";

/** The value of one field, with its place. */
export interface PlacedValue {
  readonly value: Buffer;
  readonly at: ByteSpan;
}

/**
 * Goes over a form that comes in pieces. It is stricter than parsers are: what is written in an unusual way is not found, and a form
 * that is none has nothing in it.
 */
export class MultipartPlace {
  readonly #delimiter: Buffer | null;
  #state: State = "between";
  /** What is not decided yet, and where in the form it begins. A line end is thought before the first boundary. */
  #rest = Buffer.from(LINE_END);
  #restAt = -LINE_END.length;
  #found: PlacedValue[] = [];

  constructor(contentType: string) {
    const [, quoted, plain] = /;\s*boundary\s*=\s*(?:"([^"\\]+)"|([^\s;"]+))/i.exec(contentType) ?? [];
    const boundary = quoted ?? plain;
    this.#delimiter = boundary === undefined ? null : Buffer.from(`${LINE_END}--${boundary}`, "latin1");
  }

  push(chunk: Buffer): void {
    if (this.#delimiter === null || this.#state === "over") return;
    this.#rest = Buffer.concat([this.#rest, chunk]);
    while (this.#step(this.#delimiter));
  }

  /** Null unless there is exactly one such field, and the form has come to its end. */
  result(): PlacedValue | null {
    const [only] = this.#found;
    return this.#state === "over" && this.#found.length === 1 && only !== undefined ? only : null;
  }

  /** False when more must come first. */
  #step(delimiter: Buffer): boolean {
    if (this.#state === "between") return this.#skipToBoundary(delimiter);
    if (this.#state === "behind a boundary") return this.#readBoundaryEnd();
    if (this.#state === "headers") return this.#readHeaders();
    return this.#state === "value" && this.#readValue(delimiter);
  }

  #skipToBoundary(delimiter: Buffer): boolean {
    const at = this.#rest.indexOf(delimiter);
    if (at === -1) {
      this.#drop(Math.max(0, this.#rest.length - delimiter.length + 1));
      return false;
    }
    this.#drop(at + delimiter.length);
    this.#state = "behind a boundary";
    return true;
  }

  #readBoundaryEnd(): boolean {
    if (this.#rest.length < 2) return false;
    const end = this.#rest.toString("latin1", 0, 2);
    if (end === LINE_END) this.#state = "headers";
    else return this.#end(end === "--");
    // The line end stays: where there are no headers it belongs to the blank line.
    return true;
  }

  #readHeaders(): boolean {
    const end = this.#rest.indexOf(LINE_END + LINE_END);
    if (end === -1) return this.#rest.length > HEADER_BYTES_MAX && this.#end(false);
    const isModel = namesModel(this.#rest.toString("latin1", 0, end));
    this.#drop(end + 2 * LINE_END.length);
    this.#state = isModel ? "value" : "between";
    return true;
  }

  #readValue(delimiter: Buffer): boolean {
    const end = this.#rest.indexOf(delimiter);
    if (end === -1) return this.#rest.length > VALUE_BYTES_MAX && this.#end(false);
    const at = { from: this.#restAt, to: this.#restAt + end };
    this.#found.push({ value: Buffer.from(this.#rest.subarray(0, end)), at });
    this.#drop(end + delimiter.length);
    this.#state = "behind a boundary";
    return true;
  }

  #end(isWhole: boolean): boolean {
    this.#state = "over";
    if (!isWhole) this.#found = [];
    this.#rest = Buffer.alloc(0);
    return false;
  }

  #drop(bytes: number): void {
    this.#rest = this.#rest.subarray(bytes);
    this.#restAt += bytes;
  }
}

function namesModel(headers: string): boolean {
  const disposition = headers.split(LINE_END).find((line) => /^content-disposition\s*:/i.test(line));
  const [, quoted, plain] = /;\s*name\s*=\s*(?:"([^"\\]*)"|([^\s;"]+))/i.exec(disposition ?? "") ?? [];
  return (quoted ?? plain) === "model";
}
