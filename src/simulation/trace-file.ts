/** Reads a trace: who asked which model when, and how long prompt and answer were; CSV, plain or gzipped. */
import { createReadStream } from "node:fs";
import { open } from "node:fs/promises";
import { pipeline, type Readable } from "node:stream";
import { createGunzip } from "node:zlib";
import { describeError } from "../base/failure.ts";

const COLUMNS = ["timestamp_s", "model", "prompt_tokens", "output_tokens"] as const;

type ColumnName = (typeof COLUMNS)[number];

/** A line that is longer is no line of a trace. */
const LINE_LENGTH_MAX = 10_000;

/** One request of a trace. */
export interface TraceRow {
  /** Where it stands in the file; the first line is 1. */
  readonly line: number;
  /** On the trace's own clock, in s; ≥ 0, and never less than that of the row before. */
  readonly timestampS: number;
  /** The model's name in the trace. */
  readonly model: string;
  readonly promptTokens: number;
  readonly outputTokens: number;
}

/** A trace that cannot be used; the message begins with file and line. */
export class TraceError extends Error {
  override readonly name = "TraceError";

  constructor(file: string, line: number, message: string) {
    super(`${file}:${line}: ${message}`);
  }
}

/** All rows in their order, read as they are needed. Throws `TraceError`, and nothing else, at what is wrong first. */
export async function* readTrace(file: string): AsyncGenerator<TraceRow, void, undefined> {
  let line = 0;
  let columns: Columns | null = null;
  let lastS = 0;
  try {
    for await (const text of linesOf(file)) {
      line += 1;
      if (columns === null) {
        columns = columnsOf(text);
        continue;
      }
      if (text === "") continue;
      const row = rowOf(text, columns, line);
      if (row.timestampS < lastS) {
        throw new Fault(`expected times in ascending order, found ${row.timestampS} after ${lastS}`);
      }
      lastS = row.timestampS;
      yield row;
    }
  } catch (error) {
    if (error instanceof Fault) throw new TraceError(file, Math.max(1, line), error.message);
    if (isSystemError(error)) throw new TraceError(file, Math.max(1, line), inWords(error));
    throw error;
  }
  if (columns === null) throw new TraceError(file, 1, `expected a header ${COLUMNS.join(",")}, found an empty file`);
}

/** What is wrong with the line that is being read. */
class Fault extends Error {}

interface Columns {
  readonly count: number;
  readonly index: Readonly<Record<ColumnName, number>>;
}

function columnsOf(header: string): Columns {
  const names = header.split(",").map((name) => name.trim());
  const missing = COLUMNS.filter((name) => !names.includes(name));
  if (missing.length > 0) {
    throw new Fault(`expected a header with ${COLUMNS.join(",")}, found none called ${missing.join(", ")}`);
  }
  const [timestamp_s, model, prompt_tokens, output_tokens] = COLUMNS.map((name) => names.indexOf(name));
  return {
    count: names.length,
    index: {
      timestamp_s: timestamp_s ?? 0,
      model: model ?? 0,
      prompt_tokens: prompt_tokens ?? 0,
      output_tokens: output_tokens ?? 0,
    },
  };
}

function rowOf(text: string, { count, index }: Columns, line: number): TraceRow {
  const cells = text.split(",");
  if (cells.length !== count) throw new Fault(`expected ${count} values as in the header, found ${cells.length}`);
  const cell = (name: ColumnName): string => (cells[index[name]] ?? "").trim();
  const model = cell("model");
  if (model === "") throw new Fault("model: expected a name, found nothing");
  return {
    line,
    timestampS: numberIn("timestamp_s", cell("timestamp_s")),
    model,
    promptTokens: tokensIn("prompt_tokens", cell("prompt_tokens")),
    outputTokens: tokensIn("output_tokens", cell("output_tokens")),
  };
}

function numberIn(column: ColumnName, text: string): number {
  const value = /^\d+(?:\.\d+)?(?:[eE][+-]?\d+)?$/.test(text) ? Number(text) : Number.NaN;
  if (!Number.isFinite(value)) throw new Fault(`${column}: expected a number of at least 0, found ${shown(text)}`);
  return value;
}

function tokensIn(column: ColumnName, text: string): number {
  const value = numberIn(column, text);
  if (!Number.isSafeInteger(value)) throw new Fault(`${column}: expected a whole number, found ${shown(text)}`);
  return value;
}

function shown(text: string): string {
  return text === "" ? "nothing" : JSON.stringify(text.length > 60 ? `${text.slice(0, 60)}…` : text);
}

/** The lines of a text file without their ends, a last one without an end included. */
async function* linesOf(file: string): AsyncGenerator<string, void, undefined> {
  const decoder = new TextDecoder("utf-8");
  let rest = "";
  for await (const piece of await bytesOf(file)) {
    const lines = (rest + decoder.decode(piece as Uint8Array, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) yield checked(line);
    checked(rest);
  }
  if (rest !== "") yield checked(rest);
}

function checked(line: string): string {
  if (line.length > LINE_LENGTH_MAX) throw new Fault(`expected lines of at most ${LINE_LENGTH_MAX} characters`);
  return line.endsWith("\r") ? line.slice(0, -1) : line;
}

/** Unpacked where the file begins as gzip does, whatever it is called. */
async function bytesOf(file: string): Promise<Readable> {
  const isPacked = await beginsAsGzip(file);
  const source = createReadStream(file);
  if (!isPacked) return source;
  // Its errors, and those of the file, come out of the stream that is read.
  return pipeline(source, createGunzip(), () => {});
}

async function beginsAsGzip(file: string): Promise<boolean> {
  const handle = await open(file);
  try {
    const { bytesRead, buffer } = await handle.read(Buffer.alloc(2), 0, 2, 0);
    return bytesRead === 2 && buffer.readUInt16BE() === GZIP_MAGIC;
  } finally {
    await handle.close();
  }
}

const GZIP_MAGIC = 0x1f8b;

function isSystemError(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && "code" in error && typeof error.code === "string";
}

function inWords(error: NodeJS.ErrnoException): string {
  const { code = "" } = error;
  if (code === "ENOENT") return "expected a trace, found no such file";
  if (code === "EISDIR") return "expected a trace, found a directory";
  if (code === "EACCES") return "expected a trace that may be read, found that access is denied";
  if (code.startsWith("Z_")) return `expected a whole gzip file, and it is broken after this line: ${error.message}`;
  return `expected a trace that can be read: ${describeError(error)}`;
}
