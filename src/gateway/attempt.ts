/** One sending of a request to an engine, and the way back of its answer, chunk by chunk. */
import type { IncomingHttpHeaders } from "node:http";
import type { Dispatcher } from "undici";
import { assert } from "../base/assert.ts";
import type { HeaderBlock } from "../base/header-block.ts";
import type { ModelId } from "../core/model.ts";
import type { EngineConnection } from "../ports/engine-directory.ts";
import type { AnswerHeaders, FramedHandler } from "../ports/framed-handler.ts";
import { answerHeadersOf, answerReadingOf } from "./answer-reading.ts";
import { isDying, LAST_WORD_BYTES_MAX, LAST_WORD_STATUS } from "./dying-engine.ts";
import type { RequestBody } from "./body.ts";
import type { HttpResponse } from "./http1/http-response.ts";
import { ResponseIdSearch, type MadeResponses } from "./made-responses.ts";
import { SpooledBody } from "./spool-file.ts";
import { NO_TOKEN_COUNTS, UsageTail, type TokenCounts } from "./usage-tail.ts";

/** What is sent. */
export interface EngineRequest {
  readonly model: ModelId;
  readonly method: string;
  readonly path: string;
  readonly headers: HeaderBlock;
  /** Null for a request that has none. */
  readonly body: RequestBody | null;
  /** Where the id of what the engine makes is to be remembered; null where it makes nothing that has one. */
  readonly madeResponses: MadeResponses | null;
}

/** What the gateway adds to an answer. */
export interface AnswerHead {
  /** Of our own; see `PassedHeaders`. */
  readonly lines: string;
  /** The client has been told already that it will get an event stream, and with status 200. */
  readonly isOpened: boolean;
}

/** Who sends it. None of these is called after `cancel`. */
export interface AttemptOwner {
  /** A chunk has gone to the client that it has no room for; the engine is not read until it has. */
  onBlocked(): void;
  /** The engine's answer is complete and its last byte is written to the client's response, which is ended. */
  onAnswered(attempt: Attempt): void;
  /** The engine has answered something else than the stream that the client was promised. Nothing of it has gone to the client. */
  onMisplacedAnswer(attempt: Attempt, body: Buffer): void;
  /** The engine did not answer to the end. Never called from within `send`, nor from within an effect of the scheduler. */
  onAttemptFailed(attempt: Attempt, error: unknown): void;
}

/** An answer that is held back whole. */
interface HeldAnswer {
  readonly chunks: Buffer[];
  bytes: number;
}

/**
 * The handler of one dispatch. The head of the answer is held back until its first byte has come, or its end: until then
 * nothing has reached the client, and the request can be sent again. From then on a chunk is written as it comes, and an
 * engine whose client does not read is not read either. A short 500 is held back whole until the engine is known to live.
 */
export class Attempt implements FramedHandler {
  readonly #owner: AttemptOwner;
  readonly #response: HttpResponse;
  readonly #request: EngineRequest;
  readonly #head: AnswerHead;
  #controller: Dispatcher.DispatchController | null = null;
  #heldBack: AnswerHeaders | null = null;
  #status = 0;
  #isStarted = false;
  #isStream = false;
  #isOver = false;
  #lastByte = 0;
  #bytesOut = 0;
  #isPaused = false;
  #connection: EngineConnection | null = null;
  /** Set while the answer may be the last word of a dying engine. */
  #lastWord: HeldAnswer | null = null;
  #isEngineDying = false;
  /** It is not what the client was promised: it is kept, up to a limit, and not passed on. */
  #isMisplaced = false;
  #idSearch: ResponseIdSearch | null = null;
  #usage: UsageTail | null = null;

  constructor(owner: AttemptOwner, response: HttpResponse, request: EngineRequest, head: AnswerHead) {
    this.#head = head;
    this.#owner = owner;
    this.#response = response;
    this.#request = request;
  }

  /** The status of the engine's answer; 0 before it has come. */
  get status(): number {
    return this.#status;
  }

  /** Whether anything has gone to the client. */
  get isStarted(): boolean {
    return this.#isStarted;
  }

  /** Whether the answer is an event stream. */
  get isStream(): boolean {
    return this.#isStream;
  }

  /** Whether the request was given to a connection: then the engine may have begun to work on it. */
  get mayHaveArrived(): boolean {
    return this.#controller !== null;
  }

  /** Whether it failed because its engine is about to end. */
  get isEngineDying(): boolean {
    return this.#isEngineDying;
  }

  /** The last byte that went to the client; 0 before the first. */
  get lastByte(): number {
    return this.#lastByte;
  }

  /** Bytes of the body that went to the client. */
  get bytesOut(): number {
    return this.#bytesOut;
  }

  /** What the answer says of its tokens. Costs a look at its end. */
  tokenCounts(): TokenCounts {
    return this.#usage?.counts() ?? NO_TOKEN_COUNTS;
  }

  send(connection: EngineConnection): void {
    const { method, path, headers, body } = this.#request;
    this.#connection = connection;
    const { dispatcher, origin } = connection;
    if (body instanceof SpooledBody) dispatcher.dispatch(fromDisk({ origin, path, method, headers }, body), this);
    else dispatcher.dispatch({ origin, path, method, headers, body }, this);
  }

  /** Lets go of the engine now; its connection is closed when this returns. Nothing more is written to the client. */
  cancel(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#controller?.abort(CANCELLED);
  }

  /** The client has room again. */
  onDrain(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    if (!this.#isOver) this.#controller?.resume();
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    if (this.#isOver) controller.abort(CANCELLED);
    else this.#controller = controller;
  }

  onResponseStart(controller: Dispatcher.DispatchController, status: number, headers: IncomingHttpHeaders): void {
    this.onAnswerHead(controller, status, answerHeadersOf(headers));
  }

  onAnswerHead(_controller: Dispatcher.DispatchController, status: number, head: AnswerHeaders): void {
    // An interim answer (1xx) is between engine and gateway.
    if (this.#isOver || status < 200) return;
    this.#status = status;
    this.#heldBack = head;
    this.#isMisplaced = this.#head.isOpened && (status !== 200 || !answerReadingOf(head).isStream);
    if (status === LAST_WORD_STATUS || this.#isMisplaced) this.#lastWord = { chunks: [], bytes: 0 };
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#isOver) return;
    if (this.#lastWord !== null) return this.#keep(this.#lastWord, chunk);
    if (!this.#write(chunk)) this.#pause(controller);
  }

  /** Once the head has gone, nobody but the client looks at the bytes of most answers. */
  get wantsFrames(): boolean {
    return this.#isStarted && this.#lastWord === null && this.#idSearch === null && this.#response.isChunked;
  }

  onResponseFrames(
    controller: Dispatcher.DispatchController,
    frames: Buffer,
    dataBytes: number,
    lastByte: number,
  ): void {
    if (this.#isOver) return;
    this.#bytesOut += dataBytes;
    this.#lastByte = lastByte;
    this.#usage?.pushFrames(frames);
    if (!this.#response.writeFrames(frames)) this.#pause(controller);
  }

  #keep(lastWord: HeldAnswer, chunk: Buffer): void {
    if (lastWord.bytes <= LAST_WORD_BYTES_MAX) lastWord.chunks.push(chunk);
    lastWord.bytes += chunk.length;
    if (lastWord.bytes > LAST_WORD_BYTES_MAX && !this.#isMisplaced) this.#passOnLastWord();
  }

  onResponseEnd(): void {
    if (this.#isOver) return;
    const mayDie = this.#status === LAST_WORD_STATUS && this.#lastWord !== null;
    if (mayDie && this.#connection !== null) void this.#questionEngine(this.#connection);
    else this.#end();
  }

  onResponseError(_controller: Dispatcher.DispatchController | null, error: Error): void {
    if (this.#isOver) return;
    this.#isOver = true;
    // A pool that is destroyed says so at once, perhaps in the middle of an effect of the scheduler.
    queueMicrotask(() => this.#owner.onAttemptFailed(this, error));
  }

  async #questionEngine(connection: EngineConnection): Promise<void> {
    const dies = await isDying(connection);
    if (this.#isOver) return;
    if (dies) {
      this.#isOver = true;
      this.#isEngineDying = true;
      this.#owner.onAttemptFailed(this, new EngineDyingError());
      return;
    }
    this.#end();
  }

  #passOnLastWord(): void {
    const chunks = this.#lastWord?.chunks ?? [];
    this.#lastWord = null;
    for (const chunk of chunks) this.#write(chunk);
  }

  /** False when the client should be waited for. */
  #write(chunk: Buffer): boolean {
    if (!this.#isStarted) this.#start();
    this.#bytesOut += chunk.length;
    this.#lastByte = chunk[chunk.length - 1] ?? 0;
    this.#usage?.push(chunk);
    if (this.#idSearch !== null) this.#rememberId(this.#idSearch, chunk);
    return this.#response.write(chunk);
  }

  #end(): void {
    this.#isOver = true;
    try {
      if (this.#isMisplaced) return this.#owner.onMisplacedAnswer(this, Buffer.concat(this.#lastWord?.chunks ?? []));
      this.#passOnLastWord();
      if (!this.#isStarted) this.#start();
      this.#response.end();
      this.#owner.onAnswered(this);
    } catch (error) {
      // For the HTTP client the request is over by now, so what it is thrown would go no further.
      queueMicrotask(() => this.#owner.onAttemptFailed(this, error));
    }
  }

  #start(): void {
    const head = this.#heldBack;
    assert(head !== null, "an answer begins with its head");
    this.#isStarted = true;
    this.#heldBack = null;
    const reading = answerReadingOf(head);
    this.#isStream = reading.isStream;
    if (this.#status === 200 && (reading.isStream || reading.isJson)) {
      this.#usage = new UsageTail(reading.isStream);
      if (this.#request.madeResponses !== null) this.#idSearch = new ResponseIdSearch();
    }
    if (this.#head.isOpened) return;
    const { lines, passesDate } = reading;
    const date = passesDate ? head.date : null;
    const passed = { lines: lines + this.#head.lines, date, contentLength: head.contentLength };
    this.#response.writeHead(this.#status, NO_MORE, passed);
  }

  #rememberId(search: ResponseIdSearch, chunk: Buffer): void {
    const id = search.push(chunk);
    if (id === null) return;
    this.#request.madeResponses?.remember(id, this.#request.model);
    this.#idSearch = null;
  }

  #pause(controller: Dispatcher.DispatchController): void {
    controller.pause();
    this.#isPaused = true;
    this.#owner.onBlocked();
  }
}

function fromDisk(
  options: Dispatcher.DispatchOptions & { readonly headers: HeaderBlock },
  body: SpooledBody,
): Dispatcher.DispatchOptions {
  return { ...options, headers: options.headers.with("content-length", String(body.length)), body: body.read() };
}

/** Its code keeps it from being taken for a mistake of ours. */
class EngineDyingError extends Error {
  override readonly name = "EngineDyingError";
  readonly code = "ENGINE_DYING";

  constructor() {
    super("the engine answered 500 because it is about to end");
  }
}

const NO_MORE: readonly string[] = [];

const CANCELLED = new Error("the request was cancelled");

/**
 * Whether an attempt failed by our own fault: everything that the network or the engine does wrong has a code of the
 * system or of the HTTP client.
 */
export function isOwnBug(error: unknown): boolean {
  // Its code is missing when the answer ends in a place where it cannot.
  if (error instanceof Error && error.name === "HTTPParserError") return false;
  if (!(error instanceof Error) || !("code" in error) || typeof error.code !== "string") return true;
  return OWN_BUG_CODES.test(error.code);
}

const OWN_BUG_CODES = /^(?:ERR_INVALID_|ERR_HTTP_|ERR_ASSERTION|UND_ERR_INVALID_ARG|UND_ERR_NOT_SUPPORTED)/;
