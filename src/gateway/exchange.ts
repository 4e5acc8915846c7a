/** One request of a client, from its headers to the end of its answer. */
import { assert } from "../base/assert.ts";
import { formatDuration } from "../base/duration.ts";
import { describeError, failure, type Failure } from "../base/failure.ts";
import type { LeaseOutcome } from "../core/lease.ts";
import type { ModelId } from "../core/model.ts";
import type { AccessOutcome, AccessRecord } from "../ports/access-record.ts";
import type { TimerHandle } from "../ports/clock.ts";
import { Attempt, isOwnBug, type AttemptOwner, type EngineRequest } from "./attempt.ts";
import { BodyIntake, type BodyOwner, type RequestBody } from "./body.ts";
import type { BodyAsk } from "./body-ask.ts";
import { breakOff } from "./break-off.ts";
import { refusalAnswer } from "./client-error.ts";
import type { Guest } from "./doorkeeper.ts";
import { errorAnswer, errorStatus } from "./errors.ts";
import { errorEvent, errorEventOf, LINE_FEED, STREAM_HEADERS } from "./event-stream.ts";
import type { ExchangeHouse, OpenRequest } from "./exchange-house.ts";
import type { Listener } from "./heart.ts";
import type { Refusal } from "./http1/connection-host.ts";
import type { HttpRequest } from "./http1/http-request.ts";
import type { HttpResponse, ResponseOwner } from "./http1/http-response.ts";
import { readRequestHeaders, type RequestHeaders } from "./headers.ts";
import type { Applicant, Grant, Waiting } from "./lease-desk.ts";
import { makerOf, modelOf, receive, type ForEngine } from "./reception.ts";
import { renamedBody } from "./renamed-body.ts";
import { reply, type OwnAnswer, type ReplyTo } from "./reply.ts";
import { Retries, type NextTry } from "./retries.ts";
import { StallWatch } from "./stall-watch.ts";
import type { Dialect, Route } from "./routes.ts";
import { SpooledBody } from "./spool-file.ts";
import { NO_TOKEN_COUNTS } from "./usage-tail.ts";

/** How it ended, as far as the gateway and the engine are concerned. */
interface Result {
  readonly status: number;
  readonly outcome: AccessOutcome;
  readonly failure?: Failure;
  /** We have said all that we are going to say: however the connection ends now, it is not the client's leaving. */
  readonly isFinal?: boolean;
}

/** These end a request on purpose: sending it again would only undo them. */
const FINAL_REVOCATIONS: ReadonlySet<Failure["code"]> = new Set([
  "drain_timeout",
  "shutting_down",
  "stopped_by_operator",
]);

/** Where engines make what can be asked for again by its id. */
const RESPONSES_PATH = "/v1/responses";

/** What a client may leave unread of its heartbeats, in bytes; further ones are left out. */
const UNREAD_BEATS_MAX = 16 * 1024;

/** Of a request whose client left; nobody ever sees it. */
const CLIENT_LEFT_STATUS = 499;
const CLIENT_LEFT: Result = { status: CLIENT_LEFT_STATUS, outcome: "abandoned" };

/**
 * The way of a request: body, model, lease, one or more attempts, end. Whatever happens, it ends with the response's
 * `onClosed`, and there everything that is still held is let go: the place in the queue, the engine, the lease.
 */
export class Exchange implements Applicant, AttemptOwner, BodyOwner, OpenRequest, ResponseOwner {
  readonly #house: ExchangeHouse;
  readonly #request: HttpRequest;
  readonly #response: HttpResponse;
  readonly #headers: RequestHeaders;
  readonly #startedAtMs: number;
  /** In ms since 1970. */
  readonly arrivedAtEpochMs: number;
  before: OpenRequest | null = null;
  after: OpenRequest | null = null;
  readonly #retries = new Retries();
  #dialect: Dialect = "openai";
  #guest: Guest | null = null;
  /** Whether the guest's request counts, and is still to be taken from the count. */
  #hasEntered = false;
  #route: Route | null = null;
  #destination: ForEngine | null = null;
  #intake: BodyIntake | null = null;
  #body: RequestBody | null = null;
  #forEngine: EngineRequest | null = null;
  #waiting: Waiting | null = null;
  #grant: Grant | null = null;
  #attempt: Attempt | null = null;
  #crashNotice: TimerHandle | null = null;
  #result: Result | null = null;
  #stallWatch: StallWatch | null = null;
  /** After the last words. */
  #lastTimer: TimerHandle | null = null;
  #wantsStream = false;
  #beats: Listener | null = null;
  /** Since when a client that wants a stream hears nothing: since it has said all, or since the last heartbeat. */
  #silentSinceMs = 0;
  /** The client has been told that a stream comes, before its engine was there. */
  #isOpened = false;
  #waitedMs = 0;
  #wakeMs = 0;
  /** Since when it waits, for one that will not be let in; the wait of one that was is told by its lease. */
  #waitsSinceMs: number | null = null;
  #waitedInVainMs = 0;
  #bytesIn = 0;
  #ownBytesOut = 0;

  constructor(house: ExchangeHouse, request: HttpRequest, response: HttpResponse) {
    this.#house = house;
    this.#request = request;
    this.#response = response;
    this.#startedAtMs = house.clock.nowMs();
    this.arrivedAtEpochMs = house.clock.epochMs();
    this.#headers = readRequestHeaders(request.head.rawHeaders);
  }

  begin(): void {
    this.#response.ownBy(this);
    this.#guard(() => this.#open());
  }

  /** The connection is not to be used again after this answer, if it is not too late to say so. */
  closeAfterwards(): void {
    this.#response.closeAfterwards();
  }

  /** The program ends now. No client is to take that for the end of an answer that has begun. */
  destroy(): void {
    if (this.#response.hasHead && !this.#response.isFinished) this.#response.cut();
  }

  // ── the request ───────────────────────────────────────────────────────────────────────────────────────────────────

  #open(): void {
    const { dialect, route, guest, destination } = receive(this.#house, this.#request, this.#headers);
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
    const refusal = this.#guest?.enter() ?? null;
    if (refusal !== null) return this.#fail(refusal);
    this.#hasEntered = this.#guest !== null;
    this.#destination = destination;
    if (this.#request.head.expectsContinue) this.#response.writeContinue();
    this.#intake = new BodyIntake(this.#request, destination.form, this.#house.bodyLimits, this);
  }

  refusalOf(reason: Refusal): string {
    this.#intake?.cancel();
    const { status, failure: why, text, bodyBytes } = refusalAnswer(reason, this.#dialect, this.#headers.requestId);
    this.#ownBytesOut = bodyBytes;
    this.#result = { status, outcome: "refused", failure: why, isFinal: true };
    return text;
  }

  onBodyRefused(reason: Failure): void {
    this.#guard(() => this.#fail(reason));
  }

  onBody(body: RequestBody, ask: BodyAsk | Failure): void {
    this.#body = body;
    this.#guard(() => {
      this.#bytesIn = body.length;
      const destination = this.#destination;
      assert(destination !== null, "a body has come for a request that goes nowhere");
      const { model, responseId } = destination;
      if (model !== null) return this.#goTo(model, destination, body, ask);
      if (responseId !== undefined) return this.#askAround(responseId, destination, body, ask);
      const named = modelOf(this.#house, this.#guest, this.#headers, ask);
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
      this.#guard(() => (typeof model === "string" ? this.#goTo(model, destination, body, ask) : this.#fail(model)));
    });
  }

  #goTo(model: ModelId, destination: ForEngine, body: RequestBody, ask: BodyAsk | Failure): void {
    const sent = renamedBody(body, destination.form, ask, this.#house.models.upstreamNameOf(model));
    if ("code" in sent) return this.#fail(sent);
    this.#forEngine = this.#requestFor(model, destination.path, sent);
    this.#wantsStream = this.#route?.streams === true && "wantsStream" in ask && ask.wantsStream;
    this.#silentSinceMs = this.#house.clock.nowMs();
    this.#ask(this.#forEngine);
  }

  #requestFor(model: ModelId, path: string, body: RequestBody): EngineRequest {
    const { forward: headers } = this.#headers;
    const { method } = this.#request.head;
    // Nothing that only reads has a use for a body.
    const sent = method === "GET" || method === "HEAD" || method === "DELETE" ? null : body;
    const madeResponses = this.#route?.path === RESPONSES_PATH && method === "POST" ? this.#house.madeResponses : null;
    return { model, method, path, headers, body: sent, madeResponses };
  }

  // ── the lease ─────────────────────────────────────────────────────────────────────────────────────────────────────

  #ask(request: EngineRequest): void {
    const answer = this.#house.desk.request(request.model, this, this.#destination?.priority);
    if (answer.kind === "granted") this.#use(answer, request);
    else if (answer.kind === "refused") this.#fail(answer.failure);
    else {
      this.#waiting = answer;
      this.#waitsSinceMs = this.#house.clock.nowMs();
      this.#listen(answer);
    }
  }

  /** In the queue, or while there is no engine to be waited for. */
  #listen(place: Waiting | null): void {
    if (!this.#wantsStream || this.#forEngine === null) return this.#stopListening();
    const { heart } = this.#house;
    const { model } = this.#forEngine;
    const before = this.#beats;
    this.#beats = { place, model, onBeat: (comment) => this.#guard(() => this.#beat(comment)) };
    heart.add(this.#beats, this.#silentSinceMs);
    // Only now: a beat that is due in this moment keeps its timer, and is not put off by another one.
    if (before !== null) heart.remove(before);
  }

  /** The first one promises a stream, so from here on whatever goes wrong is told as its last event. */
  #beat(comment: string): void {
    // From now on the engine speaks, or we have said our last word.
    if (this.#attempt?.isStarted === true || this.#result !== null) return this.#stopListening();
    this.#silentSinceMs = this.#house.clock.nowMs();
    if (!this.#isOpened) {
      this.#isOpened = true;
      this.#response.writeHead(200, [...STREAM_HEADERS, ...this.#ownHeaders()]);
    }
    if (this.#response.unsentBytes <= UNREAD_BEATS_MAX) this.#response.write(Buffer.from(comment));
    this.#ownBytesOut += comment.length;
  }

  onGrant(grant: Grant): void {
    this.#waiting = null;
    this.#guard(() => this.#forEngine !== null && this.#use(grant, this.#forEngine));
  }

  onRefusal(reason: Failure): void {
    this.#waiting = null;
    this.#stopListening();
    this.#stopWaiting();
    this.#guard(() => this.#fail(reason));
  }

  #stopListening(): void {
    if (this.#beats !== null) this.#house.heart.remove(this.#beats);
    this.#beats = null;
  }

  #stopWaiting(): void {
    if (this.#waitsSinceMs !== null) this.#waitedInVainMs += this.#house.clock.nowMs() - this.#waitsSinceMs;
    this.#waitsSinceMs = null;
  }

  onRevoked(reason: Failure): void {
    this.#guard(() => {
      this.#crashNotice?.cancel();
      // The engine may have done its part already, and only the client is still reading.
      if (this.#response.isEnded) return this.#release(this.#result?.outcome === "failed" ? "failed" : "served");
      this.#attempt?.cancel();
      if (this.#attempt?.isStarted === true) this.#breakOff(reason);
      else if (FINAL_REVOCATIONS.has(reason.code)) this.#fail(reason);
      else this.#tryAgain(this.#retries.onCrashed(), reason);
    });
  }

  #release(outcome: LeaseOutcome): void {
    const grant = this.#grant;
    this.#grant = null;
    grant?.release(outcome);
  }

  // ── the engine ────────────────────────────────────────────────────────────────────────────────────────────────────

  #use(grant: Grant, request: EngineRequest): void {
    this.#grant = grant;
    this.#waitedMs += grant.lease.waitedMs;
    this.#wakeMs += grant.wakeMs;
    this.#waitsSinceMs = null;
    const connection = grant.connection();
    if (connection === null) return this.#tryAgain("wait for the crash", this.#unreachable("has just ended"));
    if (!this.#retries.take(connection)) return this.#fail(this.#unreachable("broke the connection each time"));
    const head = { headers: this.#isOpened ? NOTHING : this.#ownHeaders(), isOpened: this.#isOpened };
    // A stream that was promised must not fall silent, or proxies cut it. One that was not may still become an error of the engine's.
    if (this.#isOpened) this.#listen(null);
    else this.#stopListening();
    this.#attempt = new Attempt(this, this.#response, request, head);
    this.#attempt.send(connection);
  }

  /** On every answer, the model and how the time was spent as soon as they are known. */
  #ownHeaders(): string[] {
    const headers = ["x-request-id", this.#headers.requestId];
    // Where Anthropic's own clients look for it.
    if (this.#dialect === "anthropic") headers.push("request-id", this.#headers.requestId);
    const model = this.#forEngine?.model;
    if (model === undefined) return headers;
    headers.push("x-llmux-model", this.#house.models.headerValueOf(model));
    // They may still grow.
    if (this.#waiting !== null || this.#isOpened) return headers;
    const queueMs = String(Math.round(this.#waitedMs + this.#waitedInVainMs));
    headers.push("x-llmux-queue-ms", queueMs, "x-llmux-wake-ms", String(Math.round(this.#wakeMs)));
    return headers;
  }

  onBlocked(): void {
    this.#watch().onBlocked();
  }

  #watch(): StallWatch {
    const { clock, stallTimeoutMs: timeoutMs } = this.#house;
    const onStalled = (): void => this.#guard(() => this.#onStalled());
    this.#stallWatch ??= new StallWatch({ clock, timeoutMs, onStalled });
    return this.#stallWatch;
  }

  /** What is still to be sent will never be read, so nothing more is said. */
  #onStalled(): void {
    const message = `The client has read nothing for ${formatDuration(this.#house.stallTimeoutMs)} (client_stall_secs).`;
    const reason = failure("client_stalled", message);
    this.#result = { status: CLIENT_LEFT_STATUS, outcome: "abandoned", failure: reason, isFinal: true };
    this.#response.cut();
  }

  onAnswered(attempt: Attempt): void {
    const { status } = attempt;
    const outcome = status < 500 ? "served" : "failed";
    this.#result = { status, outcome };
    this.#stallWatch?.cancel();
  }

  onMisplacedAnswer(attempt: Attempt, body: Buffer): void {
    const { status } = attempt;
    const reason = this.#unreachable(`answered ${status} in place of the stream that was asked for`);
    const outcome = status < 500 && status !== 200 ? "served" : "failed";
    const lastWords =
      (status === 200 ? null : errorEventOf(body, this.#dialect)) ??
      errorEvent(reason, this.#dialect, this.#headers.requestId, LINE_FEED);
    this.#cut({ status, outcome, ...(outcome === "failed" ? { failure: reason } : {}), isFinal: true }, lastWords);
  }

  onAttemptFailed(attempt: Attempt, error: unknown): void {
    this.#guard(() => {
      // Between the error and this moment the lease may have been revoked, or the client may have gone.
      if (attempt !== this.#attempt || this.#grant === null || this.#result !== null) return;
      if (isOwnBug(error)) return this.#onBug(error);
      if (attempt.isStarted) {
        return this.#breakOff(this.#unreachable(`broke off in the middle of its answer (${describeError(error)})`));
      }
      if (attempt.isEngineDying) {
        return this.#tryAgain("wait for the crash", this.#unreachable("answered 500 and is not healthy any more"));
      }
      const what = attempt.mayHaveArrived ? "broke the connection before it answered" : "cannot be reached";
      const reason = this.#unreachable(`${what} (${describeError(error)})`);
      this.#tryAgain(this.#retries.onConnectionFailed(attempt.mayHaveArrived), reason);
    });
  }

  /** Nothing has gone to the client yet. */
  #tryAgain(next: NextTry, reason: Failure): void {
    this.#attempt = null;
    if (next === "give up" || this.#forEngine === null) return this.#fail(reason);
    if (next === "wait for the crash") {
      this.#listen(null);
      // With the lease in hand, the crash will be told to us as its revocation.
      this.#crashNotice = this.#house.clock.after(this.#house.crashNoticeMs, () => {
        this.#guard(() => this.#fail(reason));
      });
      return;
    }
    this.#release("failed");
    this.#ask(this.#forEngine);
  }

  #unreachable(what: string): Failure {
    return failure("engine_unreachable", `The engine of model ${this.#forEngine?.model} ${what}.`);
  }

  // ── the end ───────────────────────────────────────────────────────────────────────────────────────────────────────

  /** The answer is this failure. Nothing has gone to the client yet but, perhaps, heartbeats. */
  #fail(reason: Failure, headers: readonly string[] = []): void {
    if (this.#isOpened) return this.#breakOff(reason);
    // Whoever had a lease once was not turned away at the door.
    const outcome = this.#grant === null && !this.#retries.hasTried ? "refused" : "failed";
    this.#release("failed");
    const answer = errorAnswer(reason, this.#dialect, this.#headers.requestId);
    const result: Result = { status: answer.status, outcome, failure: reason };
    this.#reply({ ...answer, headers: [...answer.headers, ...headers] }, result);
  }

  #reply(answer: OwnAnswer, result: Result): void {
    const to: ReplyTo = {
      request: this.#request,
      response: this.#response,
      headers: this.#headers,
      expectsContinue: this.#request.head.expectsContinue,
      clock: this.#house.clock,
    };
    const { bytes, linger } = reply(to, { ...answer, headers: [...answer.headers, ...this.#ownHeaders()] });
    this.#ownBytesOut = bytes;
    this.#result = { ...result, isFinal: linger !== null };
    this.#lastTimer = linger;
    this.#stallWatch?.cancel();
  }

  /** Part of the answer has gone to the client, and the rest will not come. */
  #breakOff(reason: Failure): void {
    const attempt = this.#attempt;
    const result: Result = { status: errorStatus(reason), outcome: "failed", failure: reason, isFinal: true };
    const isStream = this.#isOpened || attempt?.isStream === true;
    const lastByte = attempt?.isStarted === true ? attempt.lastByte : LINE_FEED;
    this.#cut(result, isStream ? errorEvent(reason, this.#dialect, this.#headers.requestId, lastByte) : null);
  }

  #cut(result: Result, lastWords: string | null): void {
    this.#result = result;
    this.#release(result.outcome === "served" ? "served" : "failed");
    this.#lastTimer = breakOff(this.#response, lastWords, this.#house.clock);
  }

  onUnsent(): void {
    this.#watch().onEnded();
  }

  onDrain(): void {
    this.#stallWatch?.cancel();
    this.#attempt?.onDrain();
  }

  onClosed(): void {
    this.#guard(() => this.#close());
  }

  #close(): void {
    const isWhole = this.#response.isFinished && this.#result !== null;
    if (!isWhole && this.#result?.isFinal !== true) this.#result = CLIENT_LEFT;
    const result = this.#result ?? CLIENT_LEFT;
    try {
      this.#crashNotice?.cancel();
      this.#stallWatch?.cancel();
      this.#lastTimer?.cancel();
      if (this.#waiting !== null) this.#stopWaiting();
      this.#waiting?.leave();
      this.#waiting = null;
      this.#stopListening();
      // First the engine, then the lease: whoever gets the GPU next must not find our request still on it.
      this.#attempt?.cancel();
      this.#release(result.outcome === "refused" ? "failed" : result.outcome);
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
    return {
      requestId: this.#headers.requestId,
      method: this.#request.head.method,
      route: this.#route?.path ?? null,
      model: this.#forEngine?.model ?? null,
      status,
      outcome,
      arrivedAtEpochMs: this.arrivedAtEpochMs,
      durationMs: this.#house.clock.nowMs() - this.#startedAtMs,
      waitedMs: this.#waitedMs + this.#waitedInVainMs,
      bytesIn: this.#bytesIn,
      bytesOut: this.#ownBytesOut + (this.#attempt?.bytesOut ?? 0),
      ...(this.#attempt?.tokenCounts() ?? NO_TOKEN_COUNTS),
      ...(guestName === null ? {} : { key: guestName }),
      ...(reason === undefined ? {} : { failure: reason }),
    };
  }

  /** Nothing that goes wrong in here may take the process, or the other requests, with it. */
  #guard(step: () => void): void {
    try {
      step();
    } catch (error) {
      this.#onBug(error);
    }
  }

  #onBug(error: unknown): void {
    this.#house.onBug(error);
    try {
      this.#attempt?.cancel();
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

const NOTHING: readonly string[] = [];
