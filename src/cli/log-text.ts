/** An engine's raw output as lines that can be shown: no colours, no control characters, of a progress bar its last state. */
import { StringDecoder } from "node:string_decoder";
import { stripVTControlCharacters } from "node:util";

/** A line without an end is shown in pieces of this many UTF-16 units. */
const LINE_LENGTH_MAX = 64 * 1024;

/** Takes the bytes as they come, in any pieces, and gives out whole lines. */
export class LogText {
  #decoder = new StringDecoder("utf8");
  #partial = "";
  #shownBar = "";

  /** Returns the lines that these bytes complete, each with its end. */
  push(bytes: Uint8Array): string {
    const parts = (this.#partial + this.#decoder.write(bytes)).split("\n");
    this.#partial = parts.pop() ?? "";
    const lines = parts.map((part) => `${lastState(part)}\n`);
    while (this.#partial.length > LINE_LENGTH_MAX) {
      lines.push(`${lastState(this.#partial.slice(0, LINE_LENGTH_MAX))}\n`);
      this.#partial = this.#partial.slice(LINE_LENGTH_MAX);
    }
    return lines.join("");
  }

  /** The present state of a progress bar, as a line, if there is one that is not full yet and has moved since the last call. */
  bar(): string {
    if (!this.#partial.includes("\r")) return "";
    const bar = lastState(this.#partial);
    if (bar === "" || bar === this.#shownBar) return "";
    this.#shownBar = bar;
    return `${bar}\n`;
  }

  /** What is left at the end, as a line; afterwards it can begin with another file. */
  end(): string {
    const rest = lastState(this.#partial + this.#decoder.end());
    this.#partial = "";
    this.#shownBar = "";
    this.#decoder = new StringDecoder("utf8");
    return rest === "" ? "" : `${rest}\n`;
  }
}

function lastState(line: string): string {
  const last = stripVTControlCharacters(line).replace(/\r+$/, "").split("\r").at(-1) ?? "";
  return last.replaceAll(/(?!\t)\p{Cc}/gu, "");
}
