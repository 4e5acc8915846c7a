/** Reads the end of a file, and follows it while it grows, is emptied, or is replaced by a new one. */
import { open, stat, type FileHandle } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { LogText } from "./log-text.ts";

/** What to show of a file. */
export interface LogReading {
  readonly path: string;
  /** How many of its last lines; ≥ 0. */
  readonly lines: number;
  /** Whether to go on until `signal` is aborted. */
  readonly follow: boolean;
  readonly signal: AbortSignal | null;
  readonly write: (text: string) => Promise<void>;
}

const CHUNK_BYTES = 64 * 1024;

/** Polling works on every file system, which watching does not. */
const POLL_MS = 200;

/** Rejects with `ENOENT` when there is no file, unless it is to be followed: then it waits for one. */
export async function readLog(reading: LogReading): Promise<void> {
  const { path, lines, follow, signal, write } = reading;
  let file = follow ? await openWhenThere(path, signal) : await open(path, "r");
  if (file === null) return;
  const text = new LogText();
  try {
    let position = await startOfLastLines(file, lines);
    for (;;) {
      position = await writeOn(file, position, text, write);
      if (!follow || signal?.aborted === true) break;
      await write(text.bar());
      await pause(signal);
      const change = await changeOf(file, path, position);
      if (change === "none") continue;
      if (change === "replaced") {
        // The old file may have grown once more before it was set aside.
        await writeOn(file, position, text, write);
        const next = await openWhenThere(path, signal);
        if (next === null) break;
        await file.close();
        file = next;
      }
      await write(text.end());
      position = 0;
    }
    await write(text.end());
  } finally {
    await file.close();
  }
}

/** The place where the last `lines` lines begin; what stands after the last line end counts as one if it is not empty. */
async function startOfLastLines(file: FileHandle, lines: number): Promise<number> {
  const { size } = await file.stat();
  if (lines === 0) return size;
  const buffer = Buffer.allocUnsafe(CHUNK_BYTES);
  let found = 0;
  for (let end = size; end > 0; end -= Math.min(CHUNK_BYTES, end)) {
    const start = Math.max(0, end - CHUNK_BYTES);
    const { bytesRead } = await file.read(buffer, 0, end - start, start);
    for (let index = bytesRead - 1; index >= 0; index -= 1) {
      if (buffer[index] !== 0x0a || start + index === size - 1) continue;
      found += 1;
      if (found === lines) return start + index + 1;
    }
  }
  return 0;
}

async function writeOn(
  file: FileHandle,
  from: number,
  text: LogText,
  write: (text: string) => Promise<void>,
): Promise<number> {
  const buffer = Buffer.allocUnsafe(CHUNK_BYTES);
  let position = from;
  for (;;) {
    const { bytesRead } = await file.read(buffer, 0, CHUNK_BYTES, position);
    if (bytesRead === 0) return position;
    position += bytesRead;
    await write(text.push(buffer.subarray(0, bytesRead)));
  }
}

/** What has happened to the file at `path` since we opened it. While none is there, a new one may be about to come. */
async function changeOf(file: FileHandle, path: string, position: number): Promise<"none" | "emptied" | "replaced"> {
  const ours = await file.stat();
  const theirs = await stat(path).catch(() => null);
  if (theirs !== null && (theirs.ino !== ours.ino || theirs.dev !== ours.dev)) return "replaced";
  return ours.size < position ? "emptied" : "none";
}

async function openWhenThere(path: string, signal: AbortSignal | null): Promise<FileHandle | null> {
  for (;;) {
    if (signal?.aborted === true) return null;
    try {
      return await open(path, "r");
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    }
    await pause(signal);
  }
}

async function pause(signal: AbortSignal | null): Promise<void> {
  await sleep(POLL_MS, undefined, signal === null ? {} : { signal }).catch(() => {});
}
