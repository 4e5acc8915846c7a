/** One request of a client, from its headers to the end of its answer. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { formatDuration } from "../base/duration.ts";
import { describeError, failure, type Failure } from "../base/failure.ts";
import type { LeaseOutcome } from "../core/lease.ts";
import type { Priority } from "../core/model.ts";
import type { AccessOutcome, AccessRecord } from "../ports/access-record.ts";
import type { TimerHandle } from "../ports/clock.ts";
import { Attempt, isOwnBug, type AttemptOwner, type EngineRequest } from "./attempt.ts";
import { BodyIntake, bodyTooLarge, type BodyOwner, type RequestBody } from "./body.ts";
import type { BodyAsk, BodyForm } from "./body-ask.ts";
import { breakOff } from "./break-off.ts";
import { notAllowed, type Guest } from "./doorkeeper.ts";
import { errorAnswer, errorStatus } from "./errors.ts";
import { errorEvent } from "./event-stream.ts";
import type { ExchangeHouse } from "./exchange-house.ts";
import { readRequestHeaders, type RequestHeaders } from "./headers.ts";
import type { Applicant, Grant, Waiting } from "./lease-desk.ts";
import { ownAnswer } from "./listing.ts";
import { JSON_FORM } from "./json-ask.ts";
import type { GatewayModel } from "./models.ts";
import { isMultipart, multipartForm } from "./multipart-ask.ts";
import { reply, type OwnAnswer, type ReplyTo } from "./reply.ts";
import { Retries, type NextTry } from "./retries.ts";
import { readPriority } from "./priority.ts";
import { StallWatch } from "./stall-watch.ts";
import { dialectOf, findRoute, splitTarget, type Dialect, type Route } from "./routes.ts";
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

const TOO_MANY_CONNECTIONS = failure(
  "too_many_connections",
  "llmux has as many connections as it takes (max_connections).",
);

/** Of a request whose client left; nobody ever sees it. */
const CLIENT_LEFT_STATUS = 499;

/** A path that does not exist is repeated up to here. */
const PATH_SHOWN_MAX = 200;

/**
 * The way of a request: body, model, lease, one or more attempts, end. Whatever happens, it ends with the response's
 * `close`, and there everything that is still held is let go: the place in the queue, the engine, the lease.
 */
export class Exchange implements Applicant, AttemptOwner, BodyOwner {
  readonly #house: ExchangeHouse;
  readonly #request: IncomingMessage;
  readonly #response: ServerResponse;
  readonly #headers: RequestHeaders;
  readonly #expectsContinue: boolean;
  readonly #startedAtMs: number;
  /** In ms since 1970. */
  readonly arrivedAtEpochMs: number;
  readonly #retries = new Retries();
  #dialect: Dialect = "openai";
  #guest: Guest | null = null;
  /** Whether the guest's request counts, and is still to be taken from the count. */
  #hasEntered = false;
  #route: Route | null = null;
  /** With the client's query. */
  #enginePath = "";
  #priority: Priority | undefined;
  #intake: BodyIntake | null = null;
  #body: RequestBody | null = null;
  #forEngine: EngineRequest | null = null;
  #waiting: Waiting | null = null;
  #grant: Grant | null = null;
  #attempt: Attempt | null = null;
  #crashNotice: TimerHandle | null = null;
  #result: Result | null = null;
  #stallWatch: StallWatch | null = null;
  #waitedMs = 0;
  /** Since when it waits, for one that will not be let in; the wait of one that was is told by its lease. */
  #waitsSinceMs: number | null = null;
  #waitedInVainMs = 0;
  #bytesIn = 0;
  #ownBytesOut = 0;

  constructor(house: ExchangeHouse, request: IncomingMessage, response: ServerResponse, expectsContinue: boolean) {
    this.#house = house;
    this.#request = request;
    this.#response = response;
    this.#expectsContinue = expectsContinue;
    this.#startedAtMs = house.clock.nowMs();
    this.arrivedAtEpochMs = house.clock.epochMs();
    this.#headers = readRequestHeaders(request.rawHeaders);
  }

  begin(): void {
    this.#response.on("close", () => this.#guard(() => this.#onClosed()));
    // A write that meets the end of the connection is told as an error; the `close` that follows it is all we need.
    this.#response.on("error", ignore);
    this.#guard(() => this.#open());
  }

  /** The connection is not to be used again after this answer, if it is not too late to say so. */
  closeAfterwards(): void {
    if (!this.#response.headersSent) this.#response.setHeader("connection", "close");
  }

  // ── the request ───────────────────────────────────────────────────────────────────────────────────────────────────

  #open(): void {
    const { method = "", url = "", httpVersion } = this.#request;
    const { path, query } = splitTarget(url);
    this.#dialect = dialectOf(path);
    if (!this.#headers.hasHost && httpVersion === "1.1") return this.#refuse("The request has no Host header.");
    const route = findRoute(path);
    if (route?.answerer !== "health") {
      if (this.#house.isSurplus(this.#request)) {
        this.closeAfterwards();
        return this.#fail(TOO_MANY_CONNECTIONS);
      }
      this.#guest = this.#house.doorkeeper.letIn(this.#headers);
      // Also where there is nothing: what there is here is no business of those outside.
      if (this.#guest === null) return this.#turnAway();
    }
    if (route === null) {
      return this.#fail(failure("route_not_found", `There is no ${method} ${path.slice(0, PATH_SHOWN_MAX)} here.`));
    }
    this.#route = route;
    if (!route.methods.includes(method)) {
      const message = `${method} is not possible on ${route.path}, only ${route.methods.join(" and ")}.`;
      return this.#fail(failure("method_not_allowed", message), ["allow", route.methods.join(", ")]);
    }
    if (route.answerer !== "engine") {
      const answer = ownAnswer(this.#house, route.answerer, path, this.#guest?.models ?? this.#house.models);
      return "code" in answer ? this.#fail(answer) : this.#reply(answer, { status: answer.status, outcome: "served" });
    }
    const refusal = this.#guest?.enter() ?? null;
    if (refusal !== null) return this.#fail(refusal);
    this.#hasEntered = true;
    this.#enginePath = route.path + query;
    this.#takeBody();
  }

  #turnAway(): void {
    this.#fail(this.#house.doorkeeper.refusal(this.#headers), ["www-authenticate", "Bearer"]);
  }

  #takeBody(): void {
    const priority = readPriority(this.#headers.priority);
    if (typeof priority === "object") return this.#fail(priority);
    this.#priority = this.#guest === null ? priority : this.#guest.weigh(priority);
    const { contentLength, contentEncoding } = this.#headers;
    const { bodyLimits } = this.#house;
    const { bodyBytesMax } = bodyLimits;
    if (contentLength !== null && contentLength > bodyBytesMax) return this.#fail(bodyTooLarge(bodyBytesMax));
    if (contentEncoding !== null && contentEncoding.toLowerCase() !== "identity") {
      return this.#refuse(`A body with content-encoding ${contentEncoding.slice(0, 50)} is not taken: send it plain.`);
    }
    if (this.#expectsContinue) this.#response.writeContinue();
    this.#intake = new BodyIntake(this.#request, this.#bodyForm(), bodyLimits, this);
  }

  #bodyForm(): BodyForm {
    const { contentType } = this.#headers;
    return this.#route?.takesForms === true && isMultipart(contentType) ? multipartForm(contentType) : JSON_FORM;
  }

  onBodyRefused(reason: Failure): void {
    this.#guard(() => this.#fail(reason));
  }

  onBody(body: RequestBody, ask: BodyAsk | Failure): void {
    this.#body = body;
    this.#guard(() => {
      this.#bytesIn = body.length;
      const model = this.#modelOf(ask);
      if ("code" in model) return this.#fail(model);
      const { forward: headers, requestId } = this.#headers;
      const { method = "" } = this.#request;
      this.#forEngine = { model: model.id, method, path: this.#enginePath, headers, body, requestId };
      this.#ask(this.#forEngine);
    });
  }

  #modelOf(ask: BodyAsk | Failure): GatewayModel | Failure {
    const { modelOverride } = this.#headers;
    if (modelOverride !== null) return this.#findModel(modelOverride);
    if ("code" in ask) return ask;
    if (ask.model !== null) return this.#findModel(ask.model);
    return (this.#guest?.models ?? this.#house.models).unnamed("The body");
  }

  #findModel(name: string): GatewayModel | Failure {
    const models = this.#guest?.models ?? this.#house.models;
    const model = models.find(name);
    if (model !== null) return model;
    const forbidden = this.#house.models.find(name);
    return forbidden === null ? models.notFound(name) : notAllowed(forbidden.id);
  }

  // ── the lease ─────────────────────────────────────────────────────────────────────────────────────────────────────

  #ask(request: EngineRequest): void {
    const answer = this.#house.desk.request(request.model, this, this.#priority);
    if (answer.kind === "granted") this.#use(answer, request);
    else if (answer.kind === "refused") this.#fail(answer.failure);
    else {
      this.#waiting = answer;
      this.#waitsSinceMs = this.#house.clock.nowMs();
    }
  }

  onGrant(grant: Grant): void {
    this.#waiting = null;
    this.#guard(() => this.#forEngine !== null && this.#use(grant, this.#forEngine));
  }

  onRefusal(reason: Failure): void {
    this.#waiting = null;
    this.#stopWaiting();
    this.#guard(() => this.#fail(reason));
  }

  #stopWaiting(): void {
    if (this.#waitsSinceMs !== null) this.#waitedInVainMs += this.#house.clock.nowMs() - this.#waitsSinceMs;
    this.#waitsSinceMs = null;
  }

  onRevoked(reason: Failure): void {
    this.#guard(() => {
      this.#crashNotice?.cancel();
      // The engine may have done its part already, and only the client is still reading.
      if (this.#response.writableEnded) return this.#release(this.#result?.outcome === "failed" ? "failed" : "served");
      this.#attempt?.cancel();
      if (this.#response.headersSent) this.#breakOff(reason);
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
    this.#waitsSinceMs = null;
    const connection = grant.connection();
    if (connection === null) return this.#tryAgain("wait for the crash", this.#unreachable("has just ended"));
    if (!this.#retries.take(connection)) return this.#fail(this.#unreachable("broke the connection each time"));
    this.#attempt = new Attempt(this, this.#response, request);
    this.#attempt.send(connection);
  }

  onBlocked(): void {
    this.#watch().onBlocked();
  }

  /** Everything is written; most of the time it is also sent by now. */
  #watchEnd(): void {
    this.#stallWatch?.cancel();
    const { socket, closed } = this.#response;
    if (closed) return;
    // The answer to an earlier request of the same connection has the turn. This one's bytes go out right after the event.
    if (socket === null) this.#response.once("socket", () => queueMicrotask(() => this.#watchEnd()));
    else if (socket.writableLength > 0) this.#watch().onEnded();
  }

  #watch(): StallWatch {
    const { clock, stallTimeoutMs: timeoutMs } = this.#house;
    const onStalled = (): void => this.#guard(() => this.#onStalled());
    this.#stallWatch ??= new StallWatch({ response: this.#response, clock, timeoutMs, onStalled });
    return this.#stallWatch;
  }

  /** What is still to be sent will never be read, so nothing more is said. */
  #onStalled(): void {
    const message = `The client has read nothing for ${formatDuration(this.#house.stallTimeoutMs)} (client_stall_secs).`;
    const reason = failure("client_stalled", message);
    this.#result = { status: CLIENT_LEFT_STATUS, outcome: "abandoned", failure: reason, isFinal: true };
    this.#response.destroy();
  }

  onAnswered(attempt: Attempt): void {
    const { status } = attempt;
    const outcome = status < 500 ? "served" : "failed";
    this.#result = { status, outcome };
    this.#watchEnd();
    // It is queued behind the answer to an earlier request of the same connection. That one may be waiting for this very
    // engine to be put away, so the lease cannot wait for it.
    if (this.#response.socket === null) this.#release(outcome);
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

  #refuse(message: string): void {
    this.#fail(failure("invalid_request", message));
  }

  /** The answer is this failure. Nothing has gone to the client yet. */
  #fail(reason: Failure, headers: readonly string[] = []): void {
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
      expectsContinue: this.#expectsContinue,
      clock: this.#house.clock,
    };
    const { bytes, lingers } = reply(to, answer);
    this.#ownBytesOut = bytes;
    this.#result = { ...result, isFinal: lingers };
    this.#watchEnd();
  }

  /** Part of the answer has gone to the client, and the rest will not come. */
  #breakOff(reason: Failure): void {
    const attempt = this.#attempt;
    this.#result = { status: errorStatus(reason), outcome: "failed", failure: reason, isFinal: true };
    this.#release("failed");
    const isStream = attempt?.isStream === true;
    const lastWords = isStream ? errorEvent(reason, this.#dialect, this.#headers.requestId, attempt.lastByte) : null;
    const hasLength = attempt === null || attempt.hasLength;
    breakOff({ response: this.#response, hasLength, lastWords }, this.#house.clock);
  }

  #onClosed(): void {
    const isWhole = this.#response.writableFinished && this.#result !== null;
    if (!isWhole && this.#result?.isFinal !== true) this.#result = this.#leftBehind();
    const result = this.#result ?? this.#leftBehind();
    try {
      this.#crashNotice?.cancel();
      this.#stallWatch?.cancel();
      if (this.#waiting !== null) this.#stopWaiting();
      this.#waiting?.leave();
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

  /** The client has gone, or the server has cut it off because its request was broken. */
  #leftBehind(): Result {
    const status = this.#house.brokenRequestStatus(this.#request);
    if (status !== undefined) return { status, outcome: "refused" };
    return { status: CLIENT_LEFT_STATUS, outcome: "abandoned" };
  }

  #accessRecord({ status, outcome, failure: reason }: Result): AccessRecord {
    const guestName = this.#guest?.name ?? null;
    return {
      requestId: this.#headers.requestId,
      method: this.#request.method ?? "",
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
      if (this.#response.headersSent) this.#breakOff(reason);
      else this.#fail(reason);
    } catch (further) {
      this.#house.onBug(further);
      this.#response.destroy();
    }
  }
}

function ignore(): void {}
