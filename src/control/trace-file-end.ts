/** The end of the file that a trace is recorded in: where an earlier run stopped, and what is appended now. */
import { open, stat, type FileHandle } from "node:fs/promises";

/** The columns, as `llmux simulate` reads them. */
export const TRACE_HEADER = "timestamp_s,model,prompt_tokens,output_tokens";

/** The last line of a trace is looked for in so much of its end, in bytes; a line is far shorter. */
const TAIL_BYTES = 65_536;

const NEWLINE = 0x0a;

/** Owner alone: who asked for what, and when, is nobody else's business. */
const MODE = 0o600;

/** A trace that is open for appending. What cannot be written whole is not written at all. */
export class TraceFileEnd {
  /** Of the last request in the file, in s; 0 in a new one. */
  readonly lastTimestampS: number;
  readonly #handle: FileHandle;
  readonly #path: string;
  /** What is surely whole. */
  #goodBytes: number;

  private constructor(handle: FileHandle, path: string, goodBytes: number, lastTimestampS: number) {
    this.#handle = handle;
    this.#path = path;
    this.#goodBytes = goodBytes;
    this.lastTimestampS = lastTimestampS;
  }

  /**
   * Opens a trace, or begins one with its header. A last line without end, which a killed run leaves, is cut off. Rejects, and
   * changes nothing, when the file is something else.
   */
  static async open(path: string): Promise<TraceFileEnd> {
    const handle = await open(path, "a+", MODE);
    try {
      return await TraceFileEnd.#begin(handle, path);
    } catch (error) {
      await handle.close();
      throw error;
    }
  }

  /** Appends whole lines. Rejects when that is not possible, and leaves the file as it was. */
  async append(lines: string): Promise<void> {
    const bytes = Buffer.from(lines);
    try {
      await this.#handle.appendFile(bytes);
      this.#goodBytes += bytes.length;
    } catch (error) {
      // The half of it that may have found room would be taken for a request.
      await this.#handle.truncate(this.#goodBytes);
      throw error;
    }
  }

  /** Whether what is appended here still comes to the path's file: it may have been moved, removed or emptied. */
  async isInPlace(): Promise<boolean> {
    const [own, there] = await Promise.all([this.#handle.stat(), stat(this.#path).catch(() => null)]);
    return own.ino === there?.ino && own.dev === there.dev && own.size === this.#goodBytes;
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }

  static async #begin(handle: FileHandle, path: string): Promise<TraceFileEnd> {
    const entry = await handle.stat();
    if (!entry.isFile()) throw new Error(`expected a file, found that ${path} is none`);
    if (entry.size === 0) {
      const trace = new TraceFileEnd(handle, path, 0, 0);
      await trace.append(`${TRACE_HEADER}\n`);
      return trace;
    }
    const header = await textAt(handle, 0, TRACE_HEADER.length + 1);
    if (header !== `${TRACE_HEADER}\n`) {
      throw new Error(`expected a trace that begins with ${TRACE_HEADER}, found another file at ${path}`);
    }
    const tailAt = Math.max(0, entry.size - TAIL_BYTES);
    const tail = await bytesAt(handle, tailAt, entry.size - tailAt);
    const whole = tail.subarray(0, tail.lastIndexOf(NEWLINE) + 1);
    if (whole.length < tail.length) await handle.truncate(tailAt + whole.length);
    return new TraceFileEnd(handle, path, tailAt + whole.length, lastTimestampIn(whole.toString(), path));
  }
}

function lastTimestampIn(text: string, path: string): number {
  const line = text.trimEnd().split("\n").at(-1) ?? "";
  if (line === TRACE_HEADER) return 0;
  const timestamp = Number(line.split(",")[0]);
  if (Number.isFinite(timestamp)) return timestamp;
  throw new Error(`expected a last line that begins with a time, found another one in ${path}`);
}

async function textAt(handle: FileHandle, position: number, length: number): Promise<string> {
  return (await bytesAt(handle, position, length)).toString();
}

async function bytesAt(handle: FileHandle, position: number, length: number): Promise<Buffer> {
  const { buffer, bytesRead } = await handle.read(Buffer.alloc(length), 0, length, position);
  return buffer.subarray(0, bytesRead);
}
