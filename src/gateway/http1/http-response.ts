/** The answer to one request: a head, a body in the client's framing, an end that looks like one, or a cut that does not. */
import { Buffer } from "node:buffer";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { TLSSocket } from "node:tls";
import { assert } from "../../base/assert.ts";
import type { TurnWriter, WriteWatch } from "../../base/turn-writer.ts";
import type { Refusal } from "./connection-host.ts";
import { responseHead, type AnsweredRequest, type Framing, type PassedHeaders } from "./response-head.ts";

/** Who answers. */
export interface ResponseOwner {
  /** There is room again, after a write that has returned false. */
  onDrain(): void;
  /** All is written, and the client has no room for the rest of it. */
  onUnsent(): void;
  /** The rest of the request is broken, or stays away, and no head has been written: the client gets this whole answer instead. */
  refusalOf(reason: Refusal): string;
  /** All has been given to the system, or the connection is gone. Called once; nothing else is called after it. */
  onClosed(): void;
}

/** What the response needs of its connection. */
export interface ResponseWay {
  readonly socket: Duplex;
  /** All that goes to the socket goes through it. */
  readonly writer: TurnWriter;
  answered(): AnsweredRequest;
  /** The answer is over, and its owner knows. */
  onFinished(): void;
}

/** A larger piece is not worth being copied; several are given to the system together. */
const COPIED_BYTES_MAX = 16_384;

const CARRIAGE_RETURN = 13;
const LINE_FEED = 10;
const LAST_CHUNK = Buffer.from("0\r\n\r\n");
const CONTINUE = Buffer.from("HTTP/1.1 100 Continue\r\n\r\n");

/** Made by the connection, one after the other. */
export class HttpResponse implements WriteWatch {
  readonly #way: ResponseWay;
  #owner: ResponseOwner | null = null;
  /** Written with the first piece of the body, or with the end. */
  #head: string | null = null;
  #framing: Framing | null = null;
  #keepsAlive = true;
  #isEnded = false;
  #isFinished = false;
  #isClosed = false;
  #isBlocked = false;

  constructor(way: ResponseWay) {
    this.#way = way;
  }

  /** To be called once, by whoever got the request. */
  ownBy(owner: ResponseOwner): void {
    this.#owner = owner;
  }

  /** Whether it is too late for another head. */
  get hasHead(): boolean {
    return this.#framing !== null;
  }

  /** Whether the last byte has been written. */
  get isEnded(): boolean {
    return this.#isEnded;
  }

  /** Whether the system has taken the last byte. */
  get isFinished(): boolean {
    return this.#isFinished;
  }

  /** Whether it is over, one way or the other. */
  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Whether the body goes out in chunks. */
  get isChunked(): boolean {
    return this.#framing === "chunked";
  }

  /** Whether the connection can be used again after it. */
  get keepsAlive(): boolean {
    return this.#keepsAlive;
  }

  /** What has been written and the system has not taken yet, in bytes. */
  get unsentBytes(): number {
    return this.#way.writer.unsentBytes;
  }

  /** The connection is not to be used again. Does nothing when the client has been told otherwise. */
  closeAfterwards(): void {
    if (this.#framing === null) this.#keepsAlive = false;
  }

  /** Tells a client that waits for it to send its body. */
  writeContinue(): void {
    if (!this.#isBlocked) this.#way.writer.write(CONTINUE);
  }

  /** See `responseHead`. It goes out with what comes next. */
  writeHead(status: number, headers: readonly string[], passed?: PassedHeaders): void {
    const request = this.#way.answered();
    const head = responseHead(status, headers, this.#keepsAlive ? request : { ...request, keepsAlive: false }, passed);
    this.#head = head.text;
    this.#framing = head.framing;
    this.#keepsAlive = head.keepsAlive;
  }

  /** Writes a piece of the body, which must not change any more. False when the client should be waited for. */
  write(piece: Buffer): boolean {
    if (this.#isBlocked || this.#isEnded) return true;
    assert(this.#framing !== null, "an answer begins with its head");
    // Framed, an empty piece would be the end.
    if (piece.length === 0 || this.#framing === "no body") return this.#writeHeadAlone();
    return this.#send(piece, this.#framing === "chunked", this.#framing === "length");
  }

  /** Writes a piece of the body that has its chunk sizes and line ends already. Only for a body that goes out in chunks. */
  writeFrames(frames: Buffer): boolean {
    if (this.#isBlocked || this.#isEnded) return true;
    assert(this.#framing === "chunked", "chunks go only where the head has announced them");
    return this.#send(frames, false);
  }

  /** Writes the end, and before it `body`, if there is one. */
  end(body?: Buffer): void {
    if (this.#isEnded) return;
    if (body !== undefined) this.write(body);
    assert(this.#isBlocked || this.#framing !== null, "an answer begins with its head");
    this.#isEnded = true;
    if (this.#isBlocked) return;
    if (this.#framing === "chunked") this.#send(LAST_CHUNK, false);
    else this.#writeHeadAlone();
    this.#way.writer.watch(this);
  }

  /**
   * Writes what the client is to read last, and then cuts the connection as soon as the system has taken it. Does nothing where no piece of
   * the body would be written any more.
   */
  endAbruptly(lastWords: Buffer): void {
    if (this.#isBlocked || this.#isEnded) return;
    this.write(lastWords);
    this.#isEnded = true;
    this.#way.writer.watch({ onDelayed() {}, onTaken: () => this.cut() });
  }

  /**
   * Breaks the connection so that no client takes that for the end of the answer: one that was told the length, or reads chunks, sees that
   * something is missing; any other one does if the connection is reset.
   */
  cut(): void {
    // The connection may have gone on to its next request.
    if (this.#isClosed) return;
    const { socket, writer } = this.#way;
    if (!socket.destroyed) writer.flush();
    // TLS has a word for the end, which is not said here: its absence is the cut.
    const endIsData = this.#framing === "to the end of the connection" && !(socket instanceof TLSSocket);
    if (endIsData && isResettable(socket)) socket.resetAndDestroy();
    else socket.destroy();
  }

  #writeHeadAlone(): boolean {
    const head = this.#head;
    this.#head = null;
    return head === null ? true : this.#way.writer.write(Buffer.from(head, "latin1"));
  }

  #send(piece: Buffer, isToBeFramed: boolean, isLast = false): boolean {
    const { socket, writer } = this.#way;
    const head = this.#head ?? "";
    this.#head = null;
    const before = isToBeFramed ? `${head}${piece.length.toString(16)}\r\n` : head;
    if (before === "") return writer.write(piece, isLast);
    if (piece.length <= COPIED_BYTES_MAX) return writer.write(joined(before, piece, isToBeFramed), isLast);
    writer.flush();
    socket.cork();
    socket.write(before, "latin1");
    let hasRoom = socket.write(piece);
    if (isToBeFramed) hasRoom = socket.write("\r\n", "latin1");
    socket.uncork();
    return hasRoom;
  }

  /** For the connection alone: what the client gets instead. */
  refusalOf(reason: Refusal): string {
    this.#isBlocked = true;
    return this.#owner?.refusalOf(reason) ?? "";
  }

  /** For the connection alone. */
  onDrain(): void {
    if (!this.#isClosed) this.#owner?.onDrain();
  }

  /** For the connection alone. */
  onConnectionClosed(): void {
    this.#isBlocked = true;
    this.#close();
  }

  #close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#owner?.onClosed();
  }

  /** For the writer alone. */
  onDelayed(): void {
    if (!this.#isClosed) this.#owner?.onUnsent();
  }

  /** For the writer alone. */
  onTaken(): void {
    // Of a connection that is broken already, the end is told when it is closed.
    if (this.#isClosed || this.#way.socket.destroyed) return;
    this.#isFinished = true;
    this.#close();
    this.#way.onFinished();
  }
}

function isResettable(socket: Duplex): socket is Duplex & Pick<Socket, "resetAndDestroy"> {
  return "resetAndDestroy" in socket;
}

/** One buffer is one call of the system, and cheaper than its parts up to a good size. */
function joined(before: string, piece: Buffer, isFramed: boolean): Buffer {
  const whole = Buffer.allocUnsafe(before.length + piece.length + (isFramed ? 2 : 0));
  let at = whole.write(before, "latin1");
  whole.set(piece, at);
  if (!isFramed) return whole;
  at += piece.length;
  whole[at] = CARRIAGE_RETURN;
  whole[at + 1] = LINE_FEED;
  return whole;
}
