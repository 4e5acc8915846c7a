/** One WebSocket of the realtime API: from its handshake to its end, with the lease that it holds for its whole life. */
import type { Duplex } from "node:stream";
import { failure, type Failure } from "../base/failure.ts";
import type { ModelId } from "../core/model.ts";
import type { TimerHandle } from "../ports/clock.ts";
import { ABANDONED, stalled, type Ending } from "./ending.ts";
import { errorStatus } from "./errors.ts";
import type { ExchangeHouse, OpenRequest } from "./exchange-house.ts";
import { readRequestHeaders, type RequestHeaders } from "./headers.ts";
import type { HttpRequest } from "./http1/http-request.ts";
import { failureWords, RealtimeClient } from "./realtime-client.ts";
import { RealtimeHold, type HoldOwner } from "./realtime-hold.ts";
import { RealtimeRenaming, withModelInQuery } from "./realtime-renaming.ts";
import { RealtimeTalk, type TalkOwner } from "./realtime-talk.ts";
import { RealtimeVoice } from "./realtime-voice.ts";
import { RealtimeWay, type WayOwner } from "./realtime-way.ts";
import { welcome, type Welcome } from "./realtime-welcome.ts";
import { modelOf } from "./reception.ts";
import { newRequestId } from "./request-id.ts";
import { REALTIME_PATH, splitTarget } from "./routes.ts";
import { closeFrame } from "./web-socket-frames.ts";
import { chooseProtocol } from "./web-socket-handshake.ts";

/** How long a client may take to name its model, in ms. */
const NAMING_MS = 30_000;

/**
 * | phase     | what the client sends is             | ends with                                              |
 * |-----------|--------------------------------------|--------------------------------------------------------|
 * | "naming"  | kept, and searched for the model     | the model's name, or 30 s                              |
 * | "waiting" | kept; pings are answered             | an engine, or the reason why there will be none        |
 * | "open"    | passed on, and so is what comes back | the end of either side, or the revocation of the lease |
 * | "over"    | thrown away                          | the end of the connection                              |
 *
 * The client's handshake is answered here, and at once: clients give up on one after some seconds, and a model may need minutes.
 */
export class RealtimeSession implements HoldOwner, WayOwner, TalkOwner, OpenRequest {
  readonly arrivedAtEpochMs: number;
  before: OpenRequest | null = null;
  after: OpenRequest | null = null;
  readonly #house: ExchangeHouse;
  readonly #request: HttpRequest;
  readonly #client: RealtimeClient;
  readonly #headers: RequestHeaders;
  readonly #requestId: string;
  readonly #startedAtMs: number;
  #phase: "naming" | "waiting" | "open" | "over" = "naming";
  #hold: RealtimeHold;
  #protocol: string | null = null;
  /** Null for one who stays outside. */
  #welcome: Welcome | null = null;
  #guestName: string | null = null;
  #model: ModelId | null = null;
  #way: RealtimeWay | null = null;
  #talk: RealtimeTalk | null = null;
  /** Null where the engine knows the model by the name that clients use. */
  #renaming: RealtimeRenaming | null = null;
  #voice: RealtimeVoice;
  #namingLimit: TimerHandle | null = null;
  #ending: Ending | null = null;
  #bytesIn = 0;
  #isEnded = false;

  constructor(house: ExchangeHouse, request: HttpRequest) {
    this.#house = house;
    this.#request = request;
    this.#client = new RealtimeClient(request.socket, house.clock);
    this.#headers = readRequestHeaders(request.head.rawHeaders);
    this.#requestId = this.#headers.requestId ?? newRequestId();
    this.#startedAtMs = house.clock.nowMs();
    this.arrivedAtEpochMs = house.clock.epochMs();
    this.#hold = new RealtimeHold(this, true);
    this.#voice = new RealtimeVoice(true);
  }

  /** `head`: what the client has sent behind its handshake. */
  begin(head: Buffer): void {
    this.#client.watch(() => this.guard(() => this.#onClientGone()));
    this.guard(() => {
      const refusal = this.#comeIn();
      if (refusal !== null) return this.#refuse(refusal);
      this.#client.listen({
        onData: (chunk) => this.guard(() => this.#fromClient(chunk)),
        onDrain: () => this.#talk?.onRoom(),
        onGone: () => this.guard(() => this.#onClientGone()),
      });
      if (head.length > 0) this.#fromClient(head);
    });
  }

  /** Whoever has a lease, or waits for one, is told by the scheduler. */
  closeAfterwards(): void {
    if (this.#phase === "naming") this.guard(() => this.#fail(failure("shutting_down", "llmux is shutting down")));
  }

  destroy(): void {
    this.#client.destroy();
  }

  // ── the handshake ─────────────────────────────────────────────────────────────────────────────────────────────────

  /** Null, and then the connection is a WebSocket; or why not. */
  #comeIn(): Failure | null {
    const answer = welcome(this.#house, this.#request, this.#headers);
    this.#guestName = answer.guest?.name ?? null;
    if (answer.kind === "unwelcome") return answer.reason;
    const refusal = answer.guest.enter();
    if (refusal !== null) return refusal;
    this.#welcome = answer;
    const { handshake, model } = answer;
    this.#protocol = chooseProtocol(handshake.protocols);
    this.#client.accept(handshake, this.#protocol, this.#requestId);
    if (model === null) {
      this.#client.greet();
      this.#namingLimit = this.#house.clock.after(NAMING_MS, () => {
        const message = "No model was named: send a `session.update` with a `model`, or connect with `?model=`.";
        this.guard(() => this.#fail(failure("invalid_request", message)));
      });
    } else {
      this.#hold = new RealtimeHold(this, false);
      this.#voice = new RealtimeVoice(false);
      this.#ask(model.id);
    }
    return null;
  }

  #refuse(reason: Failure): void {
    this.#phase = "over";
    const status = this.#client.refuse(reason, this.#requestId);
    this.#ending = { status, outcome: "refused", failure: reason };
  }

  // ── before the engine is there ────────────────────────────────────────────────────────────────────────────────────

  #fromClient(chunk: Buffer): void {
    this.#bytesIn += chunk.length;
    if (this.#phase === "over") return;
    if (this.#talk === null) this.#hold.push(chunk);
    else this.#talk.fromClient(chunk);
  }

  onModelNamed(name: string): void {
    const ask = { model: name, wantsStream: true };
    const model = modelOf(this.#house, this.#welcome?.guest ?? null, this.#headers, ask);
    if ("code" in model) this.#fail(model);
    else this.#ask(model.id);
  }

  onPing(payload: Buffer): void {
    this.#client.pong(payload);
  }

  onClose(code: number): void {
    this.#conclude(ABANDONED, closeFrame(code === 1005 ? 1000 : code, ""));
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

  // ── the engine ────────────────────────────────────────────────────────────────────────────────────────────────────

  #ask(model: ModelId): void {
    this.#namingLimit?.cancel();
    this.#model = model;
    this.#phase = "waiting";
    const { models } = this.#house;
    const name = models.upstreamNameOf(model);
    // A header that names the model speaks for all messages.
    const isMeant = (said: string): boolean => this.#headers.modelOverride !== null || models.find(said)?.id === model;
    this.#renaming = name === null ? null : new RealtimeRenaming(name, isMeant);
    const { query } = splitTarget(this.#request.head.url);
    const path = REALTIME_PATH + (name === null ? query : withModelInQuery(query, name));
    const { flat } = this.#headers.forward.with("x-request-id", this.#requestId);
    const request = { path, headers: withoutHandshake(flat), protocol: this.#protocol };
    this.#way = new RealtimeWay(this.#house, this, { model, priority: this.#welcome?.priority, request });
    this.#client.beginPings(this.#house.heartbeatMs);
    this.#way.begin();
  }

  onEngine(engine: Duplex): void {
    this.#client.endPings();
    this.#phase = "open";
    const { clock, stallTimeoutMs } = this.#house;
    const ways = { voice: this.#voice, renaming: this.#renaming };
    const parts = { client: this.#client, engine, ...ways, clock, stallTimeoutMs };
    this.#talk = new RealtimeTalk(parts, this);
    this.#talk.fromClient(this.#hold.release());
  }

  onFailed(reason: Failure): void {
    this.#fail(reason);
  }

  /** It holds its model against everybody who waits for another one, and will not read why it has to go. */
  onStalled(): void {
    this.#conclude(stalled(this.#house.stallTimeoutMs), null);
    this.#client.destroy();
  }

  onGarbled(): void {
    this.#fail(failure("invalid_request", "What the client sends are no frames of a WebSocket."));
  }

  onEngineGone(): void {
    if (this.#voice.hasClosed) this.#conclude({ status: 101, outcome: "served" }, null);
    else if (this.#way !== null) this.#fail(this.#way.unreachable("broke off"));
  }

  // ── the end ───────────────────────────────────────────────────────────────────────────────────────────────────────

  /** The client hears why, if a frame of ours can be told from the engine's. */
  #fail(reason: Failure): void {
    if (this.#phase === "over") return;
    const wasOpen = this.#phase === "open";
    const outcome = this.#way?.hadLease === true ? "failed" : "refused";
    const ending: Ending = { status: errorStatus(reason), outcome, failure: reason };
    if (wasOpen && !this.#voice.isAtBorder) {
      this.#conclude(ending, null);
      this.#client.destroy();
      return;
    }
    this.#conclude(ending, failureWords(reason));
  }

  /** Everything is let go of, and the client's connection ends when it has read the last words. */
  #conclude(ending: Ending, lastWords: Buffer | null): void {
    if (this.#phase === "over") return;
    this.#phase = "over";
    this.#ending = ending;
    this.#letGo();
    this.#client.leave(lastWords);
  }

  #onClientGone(): void {
    if (this.#phase !== "over") {
      const wasOpen = this.#phase === "open";
      this.#phase = "over";
      this.#ending = wasOpen ? { status: 101, outcome: "served" } : ABANDONED;
    }
    this.#letGo();
    this.#client.destroy();
    if (!this.#client.isClosed || this.#isEnded) return;
    this.#isEnded = true;
    this.#welcome?.guest.leave();
    this.#tell(this.#ending ?? ABANDONED);
  }

  /** First the engine, then the lease: whoever gets the GPU next must not find our connection still on it. */
  #letGo(): void {
    this.#namingLimit?.cancel();
    this.#client.endPings();
    this.#talk?.end();
    const outcome = this.#ending?.outcome ?? "failed";
    this.#way?.end(outcome === "refused" ? "failed" : outcome);
  }

  #tell({ status, outcome, failure: reason }: Ending): void {
    const key = this.#guestName;
    this.#house.onEnded(this, {
      requestId: this.#requestId,
      method: "GET",
      route: REALTIME_PATH,
      model: this.#model,
      status,
      outcome,
      arrivedAtEpochMs: this.arrivedAtEpochMs,
      durationMs: this.#house.clock.nowMs() - this.#startedAtMs,
      waitedMs: this.#way?.waitedMs ?? 0,
      bytesIn: this.#bytesIn,
      bytesOut: this.#client.bytesOut,
      promptTokens: null,
      outputTokens: null,
      ...(key === null ? {} : { key }),
      ...(reason === undefined ? {} : { failure: reason }),
    });
  }

  /** Nothing that goes wrong in here may take the process, or the other sessions, with it. */
  guard(step: () => unknown): void {
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
