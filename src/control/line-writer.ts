/** Writes lines to a file descriptor without ever waiting for whoever reads it: a log must not hold up what it tells of. */
import { closeSync, constants, fstatSync, openSync, writeSync } from "node:fs";

/** What is kept for a reader that does not keep up, in bytes; past it lines are dropped. */
const BACKLOG_BYTES_MAX = 8 * 1024 * 1024;

/** How soon a full pipe is tried again. */
const RETRY_MS = 10;

/** How long the end of the process may be put off for a slow reader. */
const FLUSH_MS_MAX = 500;
const FLUSH_PAUSE_MS = 5;

/** Lines go out in order, each whole or not at all, unless the process ends in the middle of one. */
export class LineWriter {
  readonly #fd: number;
  readonly #isOwn: boolean;
  #backlog: Buffer[] = [];
  #backlogBytes = 0;
  #droppedCount = 0;
  #timer: NodeJS.Timeout | null = null;
  #isBroken = false;

  /** `fd` stays open, and as it is for the others that have it. */
  constructor(fd: number) {
    const own = reopenedNonblocking(fd);
    this.#fd = own ?? fd;
    this.#isOwn = own !== null;
  }

  /** Takes one or more whole lines. */
  write(lines: string): void {
    if (this.#isBroken) return;
    const bytes = Buffer.from(lines);
    if (this.#backlogBytes + bytes.length > BACKLOG_BYTES_MAX) {
      this.#droppedCount += 1;
      return;
    }
    this.#backlog.push(bytes);
    this.#backlogBytes += bytes.length;
    if (this.#timer === null) this.#writeOut();
  }

  /** How many writes were dropped since it last told; it tells again when there is room to say so, until then 0. */
  takeDropped(): number {
    if (this.#backlogBytes > BACKLOG_BYTES_MAX / 2) return 0;
    const count = this.#droppedCount;
    this.#droppedCount = 0;
    return count;
  }

  /** Writes out what is left, for at most half a second. For the end of the process. */
  flush(): void {
    const endAtMs = performance.now() + FLUSH_MS_MAX;
    while (this.#writeBacklog() === "full" && performance.now() < endAtMs) {
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, FLUSH_PAUSE_MS);
    }
  }

  /** Writes out what is left and gives its descriptor back. Nothing may be written afterwards. */
  close(): void {
    this.flush();
    this.#break();
    if (this.#isOwn) closeSync(this.#fd);
  }

  #writeOut(): void {
    if (this.#writeBacklog() === "done") return;
    this.#timer = setTimeout(() => {
      this.#timer = null;
      this.#writeOut();
    }, RETRY_MS);
    // A reader that never reads again does not keep the process alive.
    this.#timer.unref();
  }

  #writeBacklog(): "done" | "full" {
    for (let first = this.#backlog[0]; first !== undefined; first = this.#backlog[0]) {
      try {
        const written = writeSync(this.#fd, first);
        this.#backlogBytes -= written;
        if (written === first.length) this.#backlog.shift();
        else this.#backlog[0] = first.subarray(written);
      } catch (error) {
        const { code } = error as NodeJS.ErrnoException;
        if (code === "EAGAIN") return "full";
        if (code === "EINTR") continue;
        if (code === "EPIPE" || code === "EBADF" || code === "EIO") this.#break();
        else this.#dropFirst(first);
      }
    }
    return "done";
  }

  /** A full disk costs this line; there may be room for the next. */
  #dropFirst(first: Buffer): void {
    this.#backlog.shift();
    this.#backlogBytes -= first.length;
    this.#droppedCount += 1;
  }

  /** Nobody will ever read again. */
  #break(): void {
    this.#isBroken = true;
    this.#backlog = [];
    this.#backlogBytes = 0;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }
}

/**
 * The same pipe or terminal, opened once more, so that not waiting is our affair alone: the flag belongs to the opening, and
 * whoever else shares ours (a shell, an engine) would stumble over it. A file is left as it is: it makes nobody wait, and its
 * place to write at belongs to the opening too. Null where the system cannot do that; then a full pipe makes us wait.
 */
function reopenedNonblocking(fd: number): number | null {
  if (process.platform !== "linux") return null;
  try {
    const stat = fstatSync(fd);
    if (!stat.isFIFO() && !stat.isCharacterDevice()) return null;
    return openSync(`/proc/self/fd/${fd}`, constants.O_WRONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
  } catch {
    return null;
  }
}
