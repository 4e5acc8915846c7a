/** Bodies on disk: files without a name, which nobody else can open and which vanish with the process at the latest. */
import { randomUUID } from "node:crypto";
import { open, unlink, type FileHandle } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import type { ByteSpan } from "./body-ask.ts";

/** Reading and writing, in bytes at a time. */
const CHUNK_BYTES = 256 * 1024;

/** What stands in a body in the place of some of its bytes. */
interface Replacement {
  readonly at: ByteSpan;
  readonly by: Buffer;
}

/** A body on disk, whole. It can be read as often as needed, until it is disposed of. */
export class SpooledBody {
  readonly length: number;
  readonly #file: FileHandle;
  readonly #fileBytes: number;
  readonly #replacement: Replacement | null;
  #isDisposed = false;

  constructor(file: FileHandle, fileBytes: number, replacement: Replacement | null = null) {
    this.#file = file;
    this.#fileBytes = fileBytes;
    this.#replacement = replacement;
    this.length =
      fileBytes + (replacement === null ? 0 : replacement.by.length - (replacement.at.to - replacement.at.from));
  }

  /** The same with other bytes in one place. It lives as long as this one, which is to be disposed of. */
  with(at: ByteSpan, by: Buffer): SpooledBody {
    return new SpooledBody(this.#file, this.#fileBytes, { at, by });
  }

  /** Reads it from its beginning. The stream must be read to its end or destroyed. */
  read(): Readable {
    // Not the file's own stream: to destroy one of those is to close the file.
    const chunks =
      this.#replacement === null ? chunksOf(this.#file, 0, Infinity) : replaced(this.#file, this.#replacement);
    return Readable.from(chunks, { objectMode: false, highWaterMark: CHUNK_BYTES });
  }

  /** Its space on the disk is free when the last stream is over. */
  dispose(): void {
    if (this.#isDisposed) return;
    this.#isDisposed = true;
    void this.#file.close().catch(() => {});
  }
}

async function* replaced(file: FileHandle, { at, by }: Replacement): AsyncGenerator<Buffer> {
  yield* chunksOf(file, 0, at.from);
  yield by;
  yield* chunksOf(file, at.to, Infinity);
}

async function* chunksOf(file: FileHandle, from: number, to: number): AsyncGenerator<Buffer> {
  for (let at = from; at < to;) {
    const bytes = Math.min(CHUNK_BYTES, to - at);
    const { bytesRead, buffer } = await file.read(Buffer.allocUnsafe(bytes), 0, bytes, at);
    if (bytesRead === 0) return;
    at += bytesRead;
    yield buffer.subarray(0, bytesRead);
  }
}

/** Who writes a body to disk. None of these is called after `cancel`, nor before `write` or `end` has returned. */
export interface SpoolOwner {
  /** So much is waiting to be written that more should wait. */
  onFull(): void;
  /** More may come. */
  onRoom(): void;
  onSpooled(body: SpooledBody): void;
  /** It could not be written. */
  onSpoolFailed(error: unknown): void;
}

/** What may wait for the disk, in bytes. */
const QUEUED_BYTES_MAX = 1024 * 1024;

/** Writes one body. */
export class SpoolWriter {
  readonly #owner: SpoolOwner;
  #queue: Buffer[] = [];
  #queuedBytes = 0;
  #bytes = 0;
  #isFull = false;
  #isEnded = false;
  #isCancelled = false;
  #wake: (() => void) | null = null;

  constructor(folder: string, owner: SpoolOwner) {
    this.#owner = owner;
    void this.#run(folder);
  }

  write(chunk: Buffer): void {
    this.#queue.push(chunk);
    this.#queuedBytes += chunk.length;
    if (this.#queuedBytes > QUEUED_BYTES_MAX && !this.#isFull) {
      this.#isFull = true;
      this.#owner.onFull();
    }
    this.#wake?.();
  }

  /** Nothing more comes. */
  end(): void {
    this.#isEnded = true;
    this.#wake?.();
  }

  /** Nobody wants it any more. Does nothing when it has been handed over. */
  cancel(): void {
    this.#isCancelled = true;
    this.#queue = [];
    this.#wake?.();
  }

  async #run(folder: string): Promise<void> {
    let file: FileHandle | null = null;
    try {
      file = await openUnnamed(folder);
      await this.#writeAll(file);
      if (!this.#isCancelled) {
        const body = new SpooledBody(file, this.#bytes);
        file = null;
        this.#owner.onSpooled(body);
      }
    } catch (error) {
      if (!this.#isCancelled) this.#owner.onSpoolFailed(error);
    } finally {
      await file?.close().catch(() => {});
    }
  }

  async #writeAll(file: FileHandle): Promise<void> {
    while (!this.#isCancelled) {
      const chunks = this.#queue;
      if (chunks.length > 0) {
        this.#queue = [];
        await writeWhole(file, chunks, this.#bytes);
        for (const { length } of chunks) this.#bytes += length;
        this.#hasRoom();
      } else if (this.#isEnded) return;
      else {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
        this.#wake = null;
      }
    }
  }

  #hasRoom(): void {
    this.#queuedBytes = 0;
    for (const { length } of this.#queue) this.#queuedBytes += length;
    if (!this.#isFull || this.#queuedBytes > QUEUED_BYTES_MAX || this.#isCancelled) return;
    this.#isFull = false;
    this.#owner.onRoom();
  }
}

/** It has a name for the moment between its making and its loss. */
async function openUnnamed(folder: string): Promise<FileHandle> {
  const path = join(folder, `llmux-body-${randomUUID()}`);
  const file = await open(path, "wx+", 0o600);
  try {
    await unlink(path);
  } catch (error) {
    await file.close();
    throw error;
  }
  return file;
}

/** The system may take less at a time than it is given. */
async function writeWhole(file: FileHandle, chunks: readonly Buffer[], at: number): Promise<void> {
  const { bytesWritten } = await file.writev(chunks, at);
  let done = bytesWritten;
  let start = 0;
  for (const chunk of chunks) {
    const end = start + chunk.length;
    while (done < end) {
      const more = await file.write(chunk, done - start, end - done, at + done);
      if (more.bytesWritten === 0) throw new Error("the disk takes no more");
      done += more.bytesWritten;
    }
    start = end;
  }
}
