/** Takes a request's body in, within a limit: in memory while it is small, on disk when it is not. */
import { describeError, failure, type Failure } from "../base/failure.ts";
import type { BodyAsk, BodyForm, BodyScan } from "./body-ask.ts";
import { HeldBytes } from "./http1/held-bytes.ts";
import type { BodyTaker, HttpRequest } from "./http1/http-request.ts";
import { SpoolWriter, type SpooledBody, type SpoolOwner } from "./spool-file.ts";

/** A body, whole. */
export type RequestBody = Buffer | SpooledBody;

/** Who wants the body. None of these is called when the client breaks off: the response's `close` tells that. */
export interface BodyOwner {
  /** The body with what it asks for. One that is on disk must be disposed of by its owner. */
  onBody(body: RequestBody, ask: BodyAsk | Failure): void;
  /** The body cannot be taken; what else comes is thrown away. */
  onBodyRefused(failure: Failure): void;
}

/** How bodies are taken. */
export interface BodyLimits {
  /** A larger one is refused. */
  readonly bodyBytesMax: number;
  /** A larger one is written to disk. */
  readonly memoryBytesMax: number;
  /** Where. */
  readonly spoolFolder: string;
}

/** Smaller chunks are put together: what comes byte by byte would take some hundred times its size. */
const CRUMB_BYTES = 1_024;

/**
 * The end of a body comes only when its announced length, or its last chunk, has come, so `onBody` never gets less. A body that stops
 * coming is ended by the listener's `requestTimeoutMs`.
 */
export class BodyIntake implements BodyTaker, SpoolOwner {
  readonly #request: HttpRequest;
  readonly #limits: BodyLimits;
  readonly #form: BodyForm;
  readonly #owner: BodyOwner;
  #chunks: Buffer[] = [];
  /** The last ones, if they are small. */
  #crumbs: HeldBytes | null = null;
  #bytes = 0;
  #spool: { readonly writer: SpoolWriter; readonly scan: BodyScan } | null = null;
  #isOver = false;

  constructor(request: HttpRequest, form: BodyForm, limits: BodyLimits, owner: BodyOwner) {
    this.#request = request;
    this.#form = form;
    this.#limits = limits;
    this.#owner = owner;
    request.take(this);
  }

  /** Lets go of what has come. Does nothing when the body has been handed over. */
  cancel(): void {
    this.#isOver = true;
    this.#chunks = [];
    this.#crumbs = null;
    this.#spool?.writer.cancel();
  }

  onData(chunk: Buffer): void {
    if (this.#isOver) return;
    this.#bytes += chunk.length;
    if (this.#bytes > this.#limits.bodyBytesMax) return this.#refuse(bodyTooLarge(this.#limits.bodyBytesMax));
    if (this.#spool !== null) this.#toDisk(this.#spool, chunk);
    else {
      this.#keep(chunk);
      if (this.#bytes > this.#limits.memoryBytesMax) this.#beginSpool();
    }
  }

  onEnd(): void {
    if (this.#isOver) return;
    if (this.#spool !== null) return this.#spool.writer.end();
    this.#sweep();
    const [first] = this.#chunks;
    const body = this.#chunks.length === 1 && first !== undefined ? first : Buffer.concat(this.#chunks, this.#bytes);
    this.#chunks = [];
    const scan = this.#form.scan();
    scan.push(body);
    scan.end((ask) => this.#handOver(body, ask));
  }

  #keep(chunk: Buffer): void {
    if (this.#chunks.length > 0 && chunk.length < CRUMB_BYTES) {
      if (this.#crumbs === null) this.#crumbs = new HeldBytes(chunk);
      else this.#crumbs.add(chunk);
      return;
    }
    this.#sweep();
    this.#chunks.push(chunk);
  }

  #sweep(): void {
    if (this.#crumbs !== null) this.#chunks.push(this.#crumbs.bytes);
    this.#crumbs = null;
  }

  #beginSpool(): void {
    this.#sweep();
    this.#spool = { writer: new SpoolWriter(this.#limits.spoolFolder, this), scan: this.#form.scan() };
    for (const chunk of this.#chunks) this.#toDisk(this.#spool, chunk);
    this.#chunks = [];
  }

  #toDisk({ writer, scan }: { readonly writer: SpoolWriter; readonly scan: BodyScan }, chunk: Buffer): void {
    scan.push(chunk);
    writer.write(chunk);
  }

  onFull(): void {
    this.#request.pause();
  }

  onRoom(): void {
    if (!this.#isOver) this.#request.resume();
  }

  onSpooled(body: SpooledBody): void {
    this.#spool?.scan.end((ask) => {
      if (this.#isOver) body.dispose();
      else this.#handOver(body, ask);
    });
  }

  onSpoolFailed(error: unknown): void {
    if (!this.#isOver) this.#refuse(failure("body_not_kept", `The body could not be kept: ${describeError(error)}.`));
  }

  #handOver(body: RequestBody, ask: BodyAsk | Failure): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#owner.onBody(body, ask);
  }

  #refuse(reason: Failure): void {
    this.cancel();
    this.#request.leave();
    this.#owner.onBodyRefused(reason);
  }
}

/** What to say of a body over the limit. */
export function bodyTooLarge(bodyBytesMax: number): Failure {
  return failure(
    "body_too_large",
    `The body is larger than ${bodyBytesMax} bytes, which is what llmux takes (max_body_bytes).`,
  );
}
