/** An engine's output: a file that the engine itself writes, and what we read from it. */
import { closeSync, fstatSync, mkdirSync, openSync, readSync, renameSync, statSync, truncateSync } from "node:fs";
import { dirname } from "node:path";
import { StringDecoder } from "node:string_decoder";
import { plainLine } from "../engines/vllm-output.ts";
import type { Clock, TimerHandle } from "../ports/clock.ts";

/** Lines kept for error messages. */
const LINES_MAX = 200;

/** A line without an end is cut there. */
const LINE_LENGTH_MAX = 16 * 1024;

/** Past this the file is emptied, so that an engine that runs for months does not fill the disk. */
const FILE_BYTES_MAX = 64 * 1024 * 1024;

const READ_BYTES = 64 * 1024;

/** What is read at one look: the gateway stands still meanwhile. Of an engine that prints faster than that, only the end is. */
const LOOK_BYTES_MAX = 1024 * 1024;

/** How often the file is looked at: often while somebody waits for a start, now and then otherwise. */
const POLL_MS = { starting: 100, running: 1_000 } as const;

/**
 * The engine holds the file itself, not a pipe to us: it must neither stall nor die when llmux goes away. We follow the
 * file. A disk that is full costs lines, nothing else.
 */
export class EngineOutput {
  readonly path: string;
  readonly #clock: Clock;
  readonly #onLine: (line: string, whole: boolean) => void;
  readonly #lines: string[] = [];
  #decoder = new StringDecoder("utf8");
  #position = 0;
  #partial = "";
  #timer: TimerHandle | null = null;
  #pollMs: number = POLL_MS.starting;

  /** `whole` is false for a progress bar that is still growing. */
  constructor(path: string, clock: Clock, onLine: (line: string, whole: boolean) => void) {
    this.path = path;
    this.#clock = clock;
    this.#onLine = onLine;
  }

  /** Sets the last start's output aside as `….1` and begins to follow a new file. */
  begin(): void {
    this.end();
    try {
      mkdirSync(dirname(this.path), { recursive: true, mode: 0o700 });
      renameSync(this.path, `${this.path}.1`);
    } catch {
      // There was none, or the disk is full: either way the engine appends to what is there.
    }
    this.#decoder = new StringDecoder("utf8");
    this.#position = sizeOf(this.path);
    this.#partial = "";
    this.#lines.length = 0;
    this.#pollMs = POLL_MS.starting;
    this.#schedule();
  }

  /** The start is over: look less often. */
  relax(): void {
    this.#pollMs = POLL_MS.running;
  }

  /** Reads what is left and stops following. */
  end(): void {
    if (this.#timer === null) return;
    this.#timer.cancel();
    this.#timer = null;
    this.sync();
  }

  /** The last lines, oldest first, with everything that has been written until now. */
  lastLines(count: number): readonly string[] {
    this.sync();
    return this.#lines.slice(-count);
  }

  /** Reads all that has been written until now and returns the new lines. */
  sync(): readonly string[] {
    const fresh: string[] = [];
    // Most looks find nothing new, and one question to the system tells that.
    if (sizeOf(this.path) === this.#position) return fresh;
    try {
      const file = openSync(this.path, "r");
      try {
        this.#readOn(file, fresh);
      } finally {
        closeSync(file);
      }
    } catch {
      // No file: the disk is full, or somebody removed it. The engine goes on.
    }
    return fresh;
  }

  #readOn(file: number, fresh: string[]): void {
    const { size } = fstatSync(file);
    if (size < this.#position) this.#position = 0;
    if (size === this.#position) return;
    const skippedBytes = size - LOOK_BYTES_MAX - this.#position;
    if (skippedBytes > 0) this.#skip(skippedBytes);
    const buffer = Buffer.allocUnsafe(READ_BYTES);
    // What is written while we read is for the next look.
    while (this.#position < size) {
      const length = readSync(file, buffer, 0, Math.min(buffer.length, size - this.#position), this.#position);
      if (length === 0) break;
      this.#position += length;
      this.#take(this.#decoder.write(buffer.subarray(0, length)), fresh);
    }
    if (this.#position > FILE_BYTES_MAX) {
      // The engine appends, so it goes on at the new end.
      truncateSync(this.path, 0);
      this.#position = 0;
    }
  }

  #skip(bytes: number): void {
    this.#position += bytes;
    this.#decoder = new StringDecoder("utf8");
    this.#partial = `(${bytes} bytes of output are passed over) … `;
  }

  #take(text: string, fresh: string[]): void {
    const parts = (this.#partial + text).split("\n");
    this.#partial = (parts.pop() ?? "").slice(-LINE_LENGTH_MAX);
    for (const part of parts) {
      const line = plainLine(part).slice(0, LINE_LENGTH_MAX);
      fresh.push(line);
      this.#lines.push(line);
      if (this.#lines.length > LINES_MAX) this.#lines.shift();
      this.#onLine(line, true);
    }
    // A progress bar has no line end until it is full.
    if (this.#partial.includes("\r")) this.#onLine(plainLine(this.#partial), false);
  }

  #schedule(): void {
    this.#timer = this.#clock.after(this.#pollMs, () => {
      this.sync();
      if (this.#timer !== null) this.#schedule();
    });
  }
}

function sizeOf(path: string): number {
  try {
    return statSync(path).size;
  } catch {
    return 0;
  }
}
