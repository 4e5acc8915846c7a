/** One WebSocket of the realtime API: the client's connection, the lease that it holds for its whole life, the engine's. */
import { randomUUID } from "node:crypto";
import type { Duplex } from "node:stream";
import { formatDuration } from "../base/duration.ts";
import { failure, type Failure } from "../base/failure.ts";
import type { ModelId } from "../core/model.ts";
import type { AccessOutcome } from "../ports/access-record.ts";
import type { TimerHandle } from "../ports/clock.ts";
import type { Guest } from "./doorkeeper.ts";
import { errorAnswer, errorStatus } from "./errors.ts";
import type { ExchangeHouse, OpenRequest } from "./exchange-house.ts";
import { readRequestHeaders, type RequestHeaders } from "./headers.ts";
import type { HttpRequest } from "./http1/http-request.ts";
import type { Applicant, Grant, Waiting } from "./lease-desk.ts";
import { readPriority } from "./priority.ts";
import { RealtimeHold, type HoldOwner } from "./realtime-hold.ts";
import { RealtimeLink, type LinkOwner } from "./realtime-link.ts";
import { RealtimeVoice } from "./realtime-voice.ts";
import { modelOf, NO_HOST, TOO_MANY_CONNECTIONS } from "./reception.ts";
import { Retries } from "./retries.ts";
import { REALTIME_PATH, splitTarget } from "./routes.ts";
import { closeFrame, frame, PING, PONG, TEXT } from "./web-socket-frames.ts";
import {
  acceptance,
  chooseProtocol,
  keyAmong,
  readHandshake,
  refuseUpgrade,
  type Handshake,
} from "./web-socket-handshake.ts";

/** How long a client may take to name its model, in ms. */
const NAMING_MS = 30_000;

/** How long the other side may take to read the last words, in ms. */
const FAREWELL_MS = 5_000;

const GOING_AWAY = 1001;
const POLICY = 1008;
const BROKEN = 1011;
const TRY_AGAIN = 1013;

/** The code with which a connection ends for a failure; any other one makes it worth trying again. */
const CLOSE_CODES: Partial<Record<Failure["code"], number>> = {
  invalid_request: POLICY,
  model_not_found: POLICY,
  model_not_allowed: POLICY,
  shutting_down: GOING_AWAY,
  engine_crashed: BROKEN,
  engine_unreachable: BROKEN,
  internal_error: BROKEN,
};

/** What a session has cost so far. */
interface Result {
  readonly status: number;
  readonly outcome: AccessOutcome;
  readonly failure?: Failure;
}

/**
 * | phase        | what the client sends is          | ends with                                             |
 * |--------------|-----------------------------------|-------------------------------------------------------|
 * | "naming"     | kept, and searched for the model  | the model's name, or 30 s                             |
 * | "waiting"    | kept; pings are answered          | the lease, or its refusal                             |
 * | "connecting" | kept; pings are answered          | the engine's 101, or its failure                      |
 * | "open"       | passed on, and so is what comes back | the end of either side, or the revocation of the lease |
 * | "over"       | thrown away                       | the end of the connection                             |
 *
 * The client's handshake is answered here, and at once: clients give up on one after some seconds, and a model may need minutes.
 */
export class RealtimeSession implements Applicant, HoldOwner, LinkOwner, OpenRequest {
  readonly arrivedAtEpochMs: number;
  before: OpenRequest | null = null;
  after: OpenRequest | null = null;
  readonly #house: ExchangeHouse;
  readonly #request: HttpRequest;
  readonly #client: Duplex;
  readonly #headers: RequestHeaders;
  readonly #startedAtMs: number;
  readonly #retries = new Retries();
  #phase: "naming" | "waiting" | "connecting" | "open" | "over" = "naming";
  #hold: RealtimeHold;
  #protocol: string | null = null;
  #guest: Guest | null = null;
  #hasEntered = false;
  #model: ModelId | null = null;
  #waiting: Waiting | null = null;
  #grant: Grant | null = null;
  #engine: Duplex | null = null;
  #voice: RealtimeVoice;
  #link: RealtimeLink | null = null;
  #timer: TimerHandle | null = null;
  #result: Result | null = null;
  #waitsSinceMs: number | null = null;
  #waitedMs = 0;
  #bytesIn = 0;
  #bytesOut = 0;
  #isEnded = false;

  constructor(house: ExchangeHouse, request: HttpRequest, client: Duplex) {
    this.#house = house;
    this.#request = request;
    this.#client = client;
    this.#headers = readRequestHeaders(request.head.rawHeaders);
    this.#startedAtMs = house.clock.nowMs();
    this.arrivedAtEpochMs = house.clock.epochMs();
    this.#hold = new RealtimeHold(this, true);
    this.#voice = new RealtimeVoice(true);
  }

  /** `head`: what the client has sent behind its handshake. */
  begin(head: Buffer): void {
    this.#client.on("error", () => {});
    this.#client.on("close", () => this.#guard(() => this.#onClientGone()));
    this.#guard(() => {
      const handshake = readHandshake(this.#request);
      const refusal = "code" in handshake ? handshake : this.#comeIn(handshake);
      if (refusal !== null) return this.#refuse(refusal);
      this.#client.on("data", (chunk: Buffer) => this.#guard(() => this.#fromClient(chunk)));
      this.#client.on("end", () => this.#guard(() => this.#onClientGone()));
      if (head.length > 0) this.#fromClient(head);
    });
  }

  /** Whoever has a lease, or waits for one, is told by the scheduler. */
  closeAfterwards(): void {
    if (this.#phase === "naming") this.#guard(() => this.#fail(failure("shutting_down", "llmux is shutting down")));
  }

  destroy(): void {
    this.#client.destroy();
  }

  // ── the handshake ─────────────────────────────────────────────────────────────────────────────────────────────────

  /** Null, and then the connection is a WebSocket; or why not. */
  #comeIn(handshake: Handshake): Failure | null {
    const { doorkeeper } = this.#house;
    if (this.#house.isSurplus(this.#request)) return TOO_MANY_CONNECTIONS;
    if (!this.#headers.hasHost) return NO_HOST;
    const bearer = this.#headers.bearer ?? keyAmong(handshake.protocols);
    this.#guest = doorkeeper.letIn({ bearer, apiKey: this.#headers.apiKey });
    if (this.#guest === null) return doorkeeper.refusal({ bearer, apiKey: this.#headers.apiKey });
    const priority = readPriority(this.#headers.priority);
    if (typeof priority === "object") return priority;
    const names = new URLSearchParams(splitTarget(this.#request.head.url).query).getAll("model");
    if (names.length > 1) return failure("invalid_request", "`model` is given more than once.");
    const isKnown = names.length === 1 || this.#headers.modelOverride !== null || this.#guest.models.all.length === 1;
    const ask = { model: names[0] ?? null, wantsStream: true };
    const model = isKnown ? modelOf(this.#house, this.#guest, this.#headers, ask) : null;
    if (model !== null && "code" in model) return model;
    const refusal = this.#guest.enter();
    if (refusal !== null) return refusal;
    this.#hasEntered = true;
    this.#protocol = chooseProtocol(handshake.protocols);
    this.#toClient(Buffer.from(acceptance(handshake, this.#protocol, this.#headers.requestId)));
    if (model === null) this.#greet();
    else {
      this.#hold = new RealtimeHold(this, false);
      this.#voice = new RealtimeVoice(false);
      this.#ask(model.id);
    }
    return null;
  }

  /** An engine would do this, and its clients wait for it before they say which model they want. */
  #greet(): void {
    const created = Math.floor(this.#house.clock.epochMs() / 1_000);
    const greeting = { type: "session.created", id: `sess-${randomUUID()}`, created };
    this.#toClient(frame(TEXT, Buffer.from(JSON.stringify(greeting))));
    this.#timer = this.#house.clock.after(NAMING_MS, () => {
      const message = "No model was named: send a `session.update` with a `model`, or connect with `?model=`.";
      this.#guard(() => this.#fail(failure("invalid_request", message)));
    });
  }

  // ── before the engine is there ────────────────────────────────────────────────────────────────────────────────────

  #fromClient(chunk: Buffer): void {
    this.#bytesIn += chunk.length;
    if (this.#phase === "over") return;
    if (this.#phase !== "open" || this.#engine === null) this.#hold.push(chunk);
    else if (!this.#engine.write(chunk)) this.#client.pause();
  }

  onModelNamed(name: string): void {
    const ask = { model: name, wantsStream: true };
    const model = modelOf(this.#house, this.#guest, this.#headers, ask);
    if ("code" in model) this.#fail(model);
    else this.#ask(model.id);
  }

  onPing(payload: Buffer): void {
    this.#toClient(frame(PONG, payload));
  }

  onClose(code: number): void {
    this.#conclude({ status: 499, outcome: "abandoned" }, closeFrame(code === 1005 ? 1000 : code, ""));
  }

  onFull(): void {
    this.#client.pause();
  }

  onViolation(code: number, reason: string): void {
    this.#conclude(
      { status: 400, outcome: "refused", failure: failure("invalid_request", reason) },
      closeFrame(code, reason),
    );
  }

  // ── the lease ─────────────────────────────────────────────────────────────────────────────────────────────────────

  #ask(model: ModelId): void {
    this.#timer?.cancel();
    this.#model = model;
    this.#phase = "waiting";
    this.#waitsSinceMs = this.#house.clock.nowMs();
    const priority = readPriority(this.#headers.priority);
    const weight = this.#guest?.weigh(typeof priority === "object" ? undefined : priority);
    const answer = this.#house.desk.request(model, this, weight);
    if (answer.kind === "granted") this.#connect(answer);
    else if (answer.kind === "refused") this.#fail(answer.failure);
    else {
      this.#waiting = answer;
      this.#pingLater();
    }
  }

  /** Proxies cut a connection that is silent for long. */
  #pingLater(): void {
    const { heartbeatMs, clock } = this.#house;
    if (heartbeatMs === null) return;
    this.#timer = clock.after(heartbeatMs, () => {
      if (this.#phase !== "waiting") return;
      this.#toClient(frame(PING, Buffer.from("llmux")));
      this.#pingLater();
    });
  }

  #stopWaiting(): void {
    this.#timer?.cancel();
    this.#waiting = null;
    if (this.#waitsSinceMs !== null) this.#waitedMs += this.#house.clock.nowMs() - this.#waitsSinceMs;
    this.#waitsSinceMs = null;
  }

  onGrant(grant: Grant): void {
    this.#guard(() => this.#connect(grant));
  }

  onRefusal(reason: Failure): void {
    this.#stopWaiting();
    this.#guard(() => this.#fail(reason));
  }

  onRevoked(reason: Failure): void {
    this.#guard(() => {
      if (this.#phase === "over") return this.#release();
      const mayTryAgain = this.#phase === "connecting" && reason.code === "engine_crashed";
      this.#link?.giveUp();
      if (!mayTryAgain || this.#model === null || this.#retries.onCrashed() !== "send again") return this.#fail(reason);
      this.#release();
      this.#ask(this.#model);
    });
  }

  // ── the engine ────────────────────────────────────────────────────────────────────────────────────────────────────

  #connect(grant: Grant): void {
    this.#grant = grant;
    this.#phase = "connecting";
    this.#stopWaiting();
    const connection = grant.connection();
    if (connection === null || !this.#retries.take(connection)) return this.#awaitCrash("has just ended");
    this.#link = new RealtimeLink(this);
    this.#link.open(connection, {
      path: REALTIME_PATH + splitTarget(this.#request.head.url).query,
      headers: withoutHandshake(this.#headers.forward),
      protocol: this.#protocol,
    });
  }

  onUnwilling(what: string): void {
    this.#guard(() => this.#fail(this.#unreachable(what)));
  }

  onBroken(what: string): void {
    this.#guard(() => this.#awaitCrash(what));
  }

  onLinked(engine: Duplex): void {
    this.#guard(() => {
      this.#timer?.cancel();
      this.#engine = engine;
      this.#phase = "open";
      engine.on("data", (chunk: Buffer) => this.#guard(() => this.#fromEngine(engine, chunk)));
      engine.on("drain", () => this.#client.resume());
      this.#client.on("drain", () => {
        this.#timer?.cancel();
        engine.resume();
      });
      engine.on("end", () => this.#guard(() => this.#onEngineGone()));
      engine.on("close", () => this.#guard(() => this.#onEngineGone()));
      engine.write(this.#hold.release());
      this.#client.resume();
    });
  }

  #fromEngine(engine: Duplex, chunk: Buffer): void {
    if (this.#phase !== "open") return;
    const out = this.#voice.push(chunk);
    if (out.length === 0 || this.#toClient(out)) return;
    engine.pause();
    this.#timer?.cancel();
    this.#timer = this.#house.clock.after(this.#house.stallTimeoutMs, () => this.#guard(() => this.#onStalled()));
  }

  /** It holds its model against everybody who waits for another one, and will not read why it has to go. */
  #onStalled(): void {
    const message = `The client has read nothing for ${formatDuration(this.#house.stallTimeoutMs)} (client_stall_secs).`;
    this.#conclude({ status: 499, outcome: "abandoned", failure: failure("client_stalled", message) }, null);
    this.#client.destroy();
  }

  #onEngineGone(): void {
    if (this.#phase !== "open") return;
    if (this.#voice.hasClosed) this.#conclude({ status: 101, outcome: "served" }, null);
    else this.#awaitCrash("broke off");
  }

  /** With the lease in hand, a crash will be told to us as its revocation; if none is told, this was the end. */
  #awaitCrash(what: string): void {
    if (this.#phase === "open") return this.#fail(this.#unreachable(what));
    this.#timer?.cancel();
    this.#timer = this.#house.clock.after(this.#house.crashNoticeMs, () => {
      this.#guard(() => this.#fail(this.#unreachable(what)));
    });
  }

  #unreachable(what: string): Failure {
    return failure("engine_unreachable", `The engine of model ${this.#model} ${what}.`);
  }

  // ── the end ───────────────────────────────────────────────────────────────────────────────────────────────────────

  /** False when the client should be waited for. */
  #toClient(bytes: Buffer): boolean {
    this.#bytesOut += bytes.length;
    return this.#client.writable && this.#client.write(bytes);
  }

  #refuse(reason: Failure): void {
    const answer = errorAnswer(reason, "openai", this.#headers.requestId);
    const headers = [...answer.headers, "x-request-id", this.#headers.requestId];
    if (answer.status === 401) headers.push("www-authenticate", "Bearer");
    this.#phase = "over";
    this.#result = { status: answer.status, outcome: "refused", failure: reason };
    refuseUpgrade(this.#client, answer.status, headers, answer.body);
  }

  /** The client hears why, if a frame of ours can be told from the engine's. */
  #fail(reason: Failure): void {
    if (this.#phase === "over") return;
    const wasOpen = this.#phase === "open";
    const outcome = this.#grant === null && !this.#retries.hasTried ? "refused" : "failed";
    const result: Result = { status: errorStatus(reason), outcome, failure: reason };
    if (wasOpen && !this.#voice.isAtBorder) {
      this.#conclude(result, null);
      this.#client.destroy();
      return;
    }
    const { message, code } = reason;
    const error = { type: "error", error: { type: "server_error", code, message, param: null } };
    const words = [
      frame(TEXT, Buffer.from(JSON.stringify(error))),
      closeFrame(CLOSE_CODES[code] ?? TRY_AGAIN, message),
    ];
    this.#conclude(result, Buffer.concat(words));
  }

  /** Everything is let go of, and the client's connection ends when it has read the last words. */
  #conclude(result: Result, lastWords: Buffer | null): void {
    if (this.#phase === "over") return;
    this.#phase = "over";
    this.#result = result;
    this.#letGo();
    if (lastWords !== null) this.#toClient(lastWords);
    this.#client.resume();
    this.#client.end();
    this.#timer = this.#house.clock.after(FAREWELL_MS, () => this.#client.destroy());
  }

  #onClientGone(): void {
    if (this.#phase !== "over") {
      const wasOpen = this.#phase === "open";
      this.#phase = "over";
      this.#result = wasOpen ? { status: 101, outcome: "served" } : { status: 499, outcome: "abandoned" };
    }
    this.#letGo();
    this.#client.destroy();
    if (!this.#client.closed || this.#isEnded) return;
    this.#isEnded = true;
    this.#timer?.cancel();
    if (this.#hasEntered) this.#guest?.leave();
    this.#tell(this.#result ?? { status: 499, outcome: "abandoned" });
  }

  /** First the engine, then the lease: whoever gets the GPU next must not find our connection still on it. */
  #letGo(): void {
    this.#waiting?.leave();
    this.#stopWaiting();
    this.#engine?.destroy();
    this.#link?.giveUp();
    this.#release();
  }

  #release(): void {
    const grant = this.#grant;
    this.#grant = null;
    const outcome = this.#result?.outcome ?? "failed";
    grant?.release(outcome === "refused" ? "failed" : outcome);
  }

  #tell({ status, outcome, failure: reason }: Result): void {
    const key = this.#guest?.name ?? null;
    this.#house.onEnded(this, {
      requestId: this.#headers.requestId,
      method: "GET",
      route: REALTIME_PATH,
      model: this.#model,
      status,
      outcome,
      arrivedAtEpochMs: this.arrivedAtEpochMs,
      durationMs: this.#house.clock.nowMs() - this.#startedAtMs,
      waitedMs: this.#waitedMs,
      bytesIn: this.#bytesIn,
      bytesOut: this.#bytesOut,
      promptTokens: null,
      outputTokens: null,
      ...(key === null ? {} : { key }),
      ...(reason === undefined ? {} : { failure: reason }),
    });
  }

  #guard(step: () => unknown): void {
    try {
      step();
    } catch (error) {
      this.#house.onBug(error);
      this.#client.destroy();
    }
  }
}

/** The engine's handshake is ours, not the client's. */
function withoutHandshake(headers: readonly string[]): string[] {
  const kept: string[] = [];
  for (let index = 0; index + 1 < headers.length; index += 2) {
    const name = headers[index] ?? "";
    if (!name.startsWith("sec-websocket-")) kept.push(name, headers[index + 1] ?? "");
  }
  return kept;
}
