/** One request of a client, from its headers to the end of its answer. */
import { assert } from "../base/assert.ts";
import { failure, type Failure } from "../base/failure.ts";
import type { ModelId } from "../core/model.ts";
import type { AccessRecord } from "../ports/access-record.ts";
import type { TimerHandle } from "../ports/clock.ts";
import type { AnswerHead, EngineRequest } from "./attempt.ts";
import { BodyIntake, type BodyOwner, type RequestBody } from "./body.ts";
import type { BodyAsk } from "./body-ask.ts";
import { breakOff } from "./break-off.ts";
import { refusalAnswer } from "./client-error.ts";
import type { Guest } from "./doorkeeper.ts";
import { ABANDONED, stalled, type Ending } from "./ending.ts";
import { errorAnswer, errorStatus } from "./errors.ts";
import { errorEvent, errorEventOf, LINE_FEED } from "./event-stream.ts";
import type { ExchangeHouse, OpenRequest } from "./exchange-house.ts";
import { ExchangeWay, type ExchangeWayOwner } from "./exchange-way.ts";
import type { Refusal } from "./http1/connection-host.ts";
import type { HttpRequest } from "./http1/http-request.ts";
import type { HttpResponse, ResponseOwner } from "./http1/http-response.ts";
import { readingOf, type HeadReading } from "./head-reading.ts";
import type { LateTask } from "./late-work.ts";
import type { Waiting } from "./lease-desk.ts";
import { PromisedStream, type StreamOwner } from "./promised-stream.ts";
import { makerOf, modelOf, receive, type ForEngine } from "./reception.ts";
import { renamedBody } from "./renamed-body.ts";
import { reply, type OwnAnswer } from "./reply.ts";
import { newRequestId } from "./request-id.ts";
import { StallWatch } from "./stall-watch.ts";
import type { Dialect, Route } from "./routes.ts";
import { SpooledBody } from "./spool-file.ts";
import { NO_TOKEN_COUNTS } from "./usage-tail.ts";

interface Result extends Ending {
  /** We have said all that we are going to say: however the connection ends now, it is not the client's leaving. */
  readonly isFinal?: boolean;
}

/** Where engines make what can be asked for again by its id. */
const RESPONSES_PATH = "/v1/responses";

/**
 * The body, the model that it asks for, the way to an engine, the end. Whatever happens, it ends with the response's
 * `onClosed`, and then everything that is still held is let go: the place in the queue, the engine, the lease.
 */
export class Exchange implements BodyOwner, ExchangeWayOwner, LateTask, OpenRequest, ResponseOwner, StreamOwner {
  readonly #house: ExchangeHouse;
  readonly #request: HttpRequest;
  readonly #response: HttpResponse;
  readonly #reading: HeadReading;
  readonly #requestId: string;
  readonly #startedAtMs: number;
  #endedAtMs = 0;
  /** In ms since 1970. */
  readonly arrivedAtEpochMs: number;
  before: OpenRequest | null = null;
  after: OpenRequest | null = null;
  #dialect: Dialect = "openai";
  #guest: Guest | null = null;
  /** Whether the guest's request counts, and is still to be taken from the count. */
  #hasEntered = false;
  #route: Route | null = null;
  #destination: ForEngine | null = null;
  #intake: BodyIntake | null = null;
  #body: RequestBody | null = null;
  #model: ModelId | null = null;
  #way: ExchangeWay | null = null;
  /** Null for one who wants no stream. */
  #stream: PromisedStream | null = null;
  #result: Result | null = null;
  #stallWatch: StallWatch | null = null;
  /** After the last words. */
  #lastTimer: TimerHandle | null = null;
  #bytesIn = 0;
  #ownBytesOut = 0;

  constructor(house: ExchangeHouse, request: HttpRequest, response: HttpResponse) {
    this.#house = house;
    this.#request = request;
    this.#response = response;
    this.#startedAtMs = house.clock.nowMs();
    this.arrivedAtEpochMs = house.clock.epochMs();
    this.#reading = readingOf(request.head);
    this.#requestId = this.#reading.headers.requestId ?? newRequestId();
  }

  begin(): void {
    this.#response.ownBy(this);
    this.guard(() => this.#open());
  }

  /** The connection is not to be used again after this answer, if it is not too late to say so. */
  closeAfterwards(): void {
    this.#response.closeAfterwards();
  }

  // ── the request ───────────────────────────────────────────────────────────────────────────────────────────────────

  #open(): void {
    const { dialect, route, guest, destination } = receive(this.#house, this.#request, this.#reading);
    this.#dialect = dialect;
    this.#route = route;
    this.#guest = guest;
    if (destination.kind === "for an engine") return this.#takeBody(destination);
    if (destination.kind === "refused") {
      if (destination.closes) this.closeAfterwards();
      return this.#fail(destination.failure, destination.headers);
    }
    return this.#reply(destination.answer, { status: destination.answer.status, outcome: "served" });
  }

  #takeBody(destination: ForEngine): void {
    const refusal = this.#enter();
    if (refusal !== null) return this.#fail(refusal);
    this.#hasEntered = this.#guest !== null;
    this.#destination = destination;
    if (this.#request.head.expectsContinue) this.#response.writeContinue();
    this.#intake = new BodyIntake(this.#request, destination.form, this.#house.bodyLimits, this);
  }

  #enter(): Failure | null {
    const refusal = this.#guest?.enter() ?? null;
    const { lateWork } = this.#house;
    if (refusal === null || lateWork.size === 0) return refusal;
    // It may be for requests that are over.
    lateWork.catchUp();
    return this.#guest?.enter() ?? null;
  }

  refusalOf(reason: Refusal): string {
    this.#intake?.cancel();
    const { status, failure: why, text, bodyBytes } = refusalAnswer(reason, this.#dialect, this.#requestId);
    this.#ownBytesOut = bodyBytes;
    this.#result = { status, outcome: "refused", failure: why, isFinal: true };
    return text;
  }

  onBodyRefused(reason: Failure): void {
    this.guard(() => this.#fail(reason));
  }

  onBody(body: RequestBody, ask: BodyAsk | Failure): void {
    this.#body = body;
    this.guard(() => {
      this.#bytesIn = body.length;
      const destination = this.#destination;
      assert(destination !== null, "a body has come for a request that goes nowhere");
      const { model, responseId } = destination;
      if (model !== null) return this.#goTo(model, destination, body, ask);
      if (responseId !== undefined) return this.#askAround(responseId, destination, body, ask);
      const named = modelOf(this.#house, this.#guest, this.#reading.headers, ask);
      if ("code" in named) return this.#fail(named);
      return this.#goTo(named.id, destination, body, ask);
    });
  }

  #askAround(responseId: string, destination: ForEngine, body: RequestBody, ask: BodyAsk | Failure): void {
    const { madeResponses } = this.#house;
    madeResponses.further?.ask(responseId, (found) => {
      // Otherwise the client has gone meanwhile.
      if (this.#result !== null) return;
      if (found !== null) madeResponses.keep(responseId, found);
      const model = makerOf(this.#house, this.#guest, responseId, found);
      this.guard(() => (typeof model === "string" ? this.#goTo(model, destination, body, ask) : this.#fail(model)));
    });
  }

  #goTo(model: ModelId, destination: ForEngine, body: RequestBody, ask: BodyAsk | Failure): void {
    const sent = renamedBody(body, destination.form, ask, this.#house.models.upstreamNameOf(model));
    if ("code" in sent) return this.#fail(sent);
    this.#model = model;
    const { heart, clock } = this.#house;
    const response = this.#response;
    const wantsStream = this.#route?.streams === true && "wantsStream" in ask && ask.wantsStream;
    if (wantsStream) this.#stream = new PromisedStream({ heart, clock, response, model }, this);
    const request = this.#requestFor(model, destination.path, sent);
    this.#way = new ExchangeWay(this.#house, this, { response, request, priority: destination.priority });
    this.#way.begin();
  }

  #requestFor(model: ModelId, path: string, body: RequestBody): EngineRequest {
    const headers = this.#reading.headers.forward.with("x-request-id", this.#requestId);
    const { method } = this.#request.head;
    // Nothing that only reads has a use for a body.
    const sent = method === "GET" || method === "HEAD" || method === "DELETE" ? null : body;
    const madeResponses = this.#route?.path === RESPONSES_PATH && method === "POST" ? this.#house.madeResponses : null;
    return { model, method, path, headers, body: sent, madeResponses };
  }

  // ── the engine ────────────────────────────────────────────────────────────────────────────────────────────────────

  isOver(): boolean {
    return this.#result !== null;
  }

  isPastBeats(): boolean {
    return this.#result !== null || this.#way?.attempt?.isStarted === true;
  }

  onWaiting(place: Waiting | null): void {
    this.#stream?.wait(place);
  }

  onSending(): AnswerHead {
    this.#stream?.onSent();
    const isOpened = this.#stream?.isOpened === true;
    return { lines: isOpened ? "" : this.ownLines(), isOpened };
  }

  /** Headers of every answer: the model and how the time was spent, as soon as they are known. All of it is fit for a header. */
  ownLines(): string {
    let lines = `x-request-id: ${this.#requestId}\r\n`;
    // Where Anthropic's own clients look for it.
    if (this.#dialect === "anthropic") lines += `request-id: ${this.#requestId}\r\n`;
    if (this.#model === null) return lines;
    lines += `x-llmux-model: ${this.#house.models.headerValueOf(this.#model)}\r\n`;
    const { isWaiting = false, waitedMs = 0, wakeMs = 0 } = this.#way?.claim ?? {};
    // They may still grow.
    if (isWaiting || this.#stream?.isOpened === true) return lines;
    return `${lines}x-llmux-queue-ms: ${wholeMs(waitedMs)}\r\nx-llmux-wake-ms: ${wholeMs(wakeMs)}\r\n`;
  }

  onBlocked(): void {
    this.#watch().onBlocked();
  }

  #watch(): StallWatch {
    const { clock, stallTimeoutMs: timeoutMs } = this.#house;
    const onStalled = (): void => this.guard(() => this.#onStalled());
    this.#stallWatch ??= new StallWatch({ clock, timeoutMs, onStalled });
    return this.#stallWatch;
  }

  /** What is still to be sent will never be read, so nothing more is said. */
  #onStalled(): void {
    this.#result = { ...stalled(this.#house.stallTimeoutMs), isFinal: true };
    this.#response.cut();
  }

  onAnswered(status: number): void {
    this.#result = { status, outcome: status < 500 ? "served" : "failed" };
    this.#stallWatch?.cancel();
  }

  onMisplacedAnswer(status: number, body: Buffer, reason: Failure): void {
    const outcome = status < 500 && status !== 200 ? "served" : "failed";
    const lastWords =
      (status === 200 ? null : errorEventOf(body, this.#dialect)) ??
      errorEvent(reason, this.#dialect, this.#requestId, LINE_FEED);
    this.#cut({ status, outcome, ...(outcome === "failed" ? { failure: reason } : {}), isFinal: true }, lastWords);
  }

  onFailed(reason: Failure): void {
    this.#fail(reason);
  }

  onBroken(reason: Failure): void {
    this.#breakOff(reason);
  }

  // ── the end ───────────────────────────────────────────────────────────────────────────────────────────────────────

  /** The answer is this failure. Nothing has gone to the client yet but, perhaps, heartbeats. */
  #fail(reason: Failure, headers: readonly string[] = []): void {
    if (this.#stream?.isOpened === true) return this.#breakOff(reason);
    // Whoever had a lease once was not turned away at the door.
    const outcome = this.#way?.hadLease === true ? "failed" : "refused";
    this.#way?.release("failed");
    const answer = errorAnswer(reason, this.#dialect, this.#requestId);
    const result: Result = { status: answer.status, outcome, failure: reason };
    this.#reply({ ...answer, headers: [...answer.headers, ...headers] }, result);
  }

  #reply(answer: OwnAnswer, result: Result): void {
    const to = { request: this.#request, response: this.#response, clock: this.#house.clock };
    const { bytes, linger } = reply(to, answer, this.ownLines());
    this.#ownBytesOut = bytes;
    this.#result = { ...result, isFinal: linger !== null };
    this.#lastTimer = linger;
    this.#stallWatch?.cancel();
  }

  /** Part of the answer has gone to the client, and the rest will not come. */
  #breakOff(reason: Failure): void {
    const attempt = this.#way?.attempt;
    const result: Result = { status: errorStatus(reason), outcome: "failed", failure: reason, isFinal: true };
    const isStream = this.#stream?.isOpened === true || attempt?.isStream === true;
    const lastByte = attempt?.isStarted === true ? attempt.lastByte : LINE_FEED;
    this.#cut(result, isStream ? errorEvent(reason, this.#dialect, this.#requestId, lastByte) : null);
  }

  #cut(result: Result, lastWords: string | null): void {
    this.#result = result;
    this.#way?.release(result.outcome === "served" ? "served" : "failed");
    this.#lastTimer = breakOff(this.#response, lastWords, this.#house.clock);
  }

  onUnsent(): void {
    this.#watch().onEnded();
  }

  onDrain(): void {
    this.#stallWatch?.cancel();
    this.#way?.attempt?.onDrain();
  }

  onClosed(): void {
    this.#endedAtMs = this.#house.clock.nowMs();
    this.#stallWatch?.cancel();
    this.#lastTimer?.cancel();
    const { lateWork } = this.#house;
    if (this.#response.isFinished) return lateWork.add(this);
    // The engine of one that was left is wanted back.
    lateWork.catchUp();
    this.finish();
  }

  finish(): void {
    this.guard(() => this.#close());
  }

  #close(): void {
    const isWhole = this.#response.isFinished && this.#result !== null;
    if (!isWhole && this.#result?.isFinal !== true) this.#result = ABANDONED;
    const result = this.#result ?? ABANDONED;
    try {
      this.#stream?.end();
      this.#way?.end(result.outcome === "refused" ? "failed" : result.outcome);
    } finally {
      this.#intake?.cancel();
      if (this.#body instanceof SpooledBody) this.#body.dispose();
      if (this.#hasEntered) this.#guest?.leave();
      this.#hasEntered = false;
      this.#house.onEnded(this, this.#accessRecord(result));
    }
  }

  #accessRecord({ status, outcome, failure: reason }: Result): AccessRecord {
    const guestName = this.#guest?.name ?? null;
    const attempt = this.#way?.attempt;
    return {
      requestId: this.#requestId,
      method: this.#request.head.method,
      route: this.#route?.path ?? null,
      model: this.#model,
      status,
      outcome,
      arrivedAtEpochMs: this.arrivedAtEpochMs,
      durationMs: this.#endedAtMs - this.#startedAtMs,
      waitedMs: this.#way?.claim.waitedMs ?? 0,
      bytesIn: this.#bytesIn,
      bytesOut: this.#ownBytesOut + (this.#stream?.bytesOut ?? 0) + (attempt?.bytesOut ?? 0),
      ...(attempt?.tokenCounts() ?? NO_TOKEN_COUNTS),
      ...(guestName === null ? {} : { key: guestName }),
      ...(reason === undefined ? {} : { failure: reason }),
    };
  }

  /** Nothing that goes wrong in here may take the process, or the other requests, with it. */
  guard(step: () => void): void {
    try {
      step();
    } catch (error) {
      this.#onBug(error);
    }
  }

  #onBug(error: unknown): void {
    this.#house.onBug(error);
    try {
      this.#way?.cancelAttempt();
      const reason = failure("internal_error", "Something went wrong inside llmux.");
      this.closeAfterwards();
      if (this.#response.hasHead) this.#breakOff(reason);
      else this.#fail(reason);
    } catch (further) {
      this.#house.onBug(further);
      this.#response.cut();
    }
  }
}

/** Most have not waited at all. */
function wholeMs(durationMs: number): string {
  return durationMs === 0 ? "0" : String(Math.round(durationMs));
}
