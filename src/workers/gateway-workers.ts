/**
 * A gateway in several threads: each worker has the whole of it and listens on the same address, and the system spreads the connections.
 * One scheduler, in the main thread, decides for all of them. A worker that dies is replaced; what it had is given back first.
 */
import type { AddressInfo } from "node:net";
import { createSecureContext } from "node:tls";
import { unreachable } from "../base/assert.ts";
import { describeError, failure } from "../base/failure.ts";
import type { TlsIdentity } from "../base/tls-identity.ts";
import type { JournalEntry } from "../core/journal.ts";
import type { ModelId } from "../core/model.ts";
import type { Snapshot } from "../core/snapshot.ts";
import { engineStates } from "../gateway/engine-states.ts";
import { MadeResponses } from "../gateway/made-responses.ts";
import { cannotListen, type Gateway } from "../gateway/server.ts";
import type { AccessRecord } from "../ports/access-record.ts";
import type { Clock } from "../ports/clock.ts";
import type { EngineDirectory } from "../ports/engine-directory.ts";
import type { Log } from "../ports/log.ts";
import type { EngineLives } from "./engine-lives.ts";
import { LeaseHub } from "./lease-hub.ts";
import type { RequestScheduler } from "../gateway/lease-desk.ts";
import type { FromWorker, ToWorker } from "./messages.ts";
import { Seat, type SeatOwner } from "./seat.ts";
import { createSharedMemory, forgetWorker, waitUntilDestroyed, type SharedMemory } from "./shared-counts.ts";
import type { StartThread } from "./thread.ts";
import { zeroOf, type GatewaySetup } from "./worker-setup.ts";

/** What it is made of. */
export interface GatewayWorkersOptions {
  readonly workers: number;
  readonly setup: GatewaySetup;
  readonly clock: Clock;
  readonly log: Log;
  /** Asked for at each use, since the scheduler is made after its effects. */
  readonly scheduler: () => RequestScheduler;
  readonly snapshot: () => Snapshot;
  readonly directory: EngineDirectory;
  readonly lives: EngineLives;
  readonly startThread: StartThread;
  /** Rejects when nobody may listen there because somebody does. */
  readonly claimPort: (host: string, port: number) => Promise<unknown>;
  readonly onAccess: (record: AccessRecord) => void;
  readonly onSurgeOver: () => void;
  readonly onBug: (error: unknown) => void;
  readonly tls?: () => TlsIdentity;
}

/** One that has run for less than this before it died may die again at once, in ms. */
const SHORT_LIFE_MS = 10_000;

/** Then the next one waits for this long, and each further one twice as long, up to the second figure; in ms. */
const PAUSE_MS = 100;
const PAUSE_MAX_MS = 10_000;

/** How long the workers together may take to break their connections while this thread waits, in ms. */
const FAREWELL_MS = 250;

/** And how long to end after that. */
const END_MS = 1_000;

/** The effects and the journal of the scheduler go through this; see `Effects`. */
export class GatewayWorkers implements Gateway, SeatOwner {
  readonly hub: LeaseHub;
  readonly #options: GatewayWorkersOptions;
  readonly #memory: SharedMemory;
  readonly #startedAtEpochMs: number;
  readonly #madeResponses = new MadeResponses();
  /** Those whose threads run, by their numbers. */
  readonly #seats = new Map<number, Seat>();
  /** In a row, of those that lived for a short time only. */
  readonly #deaths = new Map<number, number>();
  #address: { readonly host: string; readonly port: number } | null = null;
  #phase: "new" | "open" | "stopping" | "destroyed" = "new";
  #statesAreOld = false;

  constructor(options: GatewayWorkersOptions) {
    this.#options = options;
    this.hub = new LeaseHub({ clock: options.clock, scheduler: options.scheduler });
    this.#memory = createSharedMemory(options.workers, options.setup.apiKeys.length);
    this.#startedAtEpochMs = options.clock.epochMs();
  }

  /** To be told what the scheduler's journal says. */
  onJournal(entry: JournalEntry): void {
    if (entry.kind === "state changed" && (entry.from === "starting" || entry.from === "waking")) {
      this.#sayToAll({ kind: "journal", entry });
    }
    if (entry.kind !== "state changed" && entry.kind !== "shutdown started" && entry.kind !== "shutdown ended") return;
    if (this.#statesAreOld) return;
    this.#statesAreOld = true;
    // When the scheduler has finished speaking.
    queueMicrotask(() => {
      this.#statesAreOld = false;
      this.#sayToAll({ kind: "states", states: engineStates(this.#options.snapshot()) });
    });
  }

  // ── the gateway ───────────────────────────────────────────────────────────────────────────────────────────────────

  async listen(host: string, port: number): Promise<AddressInfo> {
    // The workers share the address with everybody of the same user who shares it too: another llmux must not be one of them.
    if (port !== 0) {
      try {
        await this.#options.claimPort(host, port);
      } catch (error) {
        throw cannotListen(host, port, error);
      }
    }
    const seats = Array.from({ length: this.#options.workers }, (_, worker) => this.#startSeat(worker));
    const [first, ...others] = seats;
    const address = await this.#listenOn(first, host, port);
    this.#address = { host, port: address.port };
    await Promise.all(others.map((seat) => this.#listenOn(seat, host, address.port)));
    if (this.#phase === "new") this.#phase = "open";
    return address;
  }

  async #listenOn(seat: Seat | undefined, host: string, port: number): Promise<AddressInfo> {
    const result = await seat?.order({ what: "listen", host, port });
    if (result?.kind !== "listening") throw cannotListen(host, port, "the worker has no address");
    return result.address;
  }

  async stopAccepting(): Promise<void> {
    if (this.#phase !== "destroyed") this.#phase = "stopping";
    await this.#orderAll("stop accepting");
  }

  async idle(): Promise<void> {
    await this.#orderAll("become idle");
  }

  /** Those that end meanwhile have done all that they could. */
  async #orderAll(what: "stop accepting" | "become idle"): Promise<void> {
    await Promise.allSettled(Array.from(this.#seats.values(), (seat) => seat.order({ what })));
  }

  renewTls(identity: TlsIdentity): void {
    createSecureContext({ cert: identity.cert, key: identity.key });
    this.#sayToAll({ kind: "renew tls", identity });
  }

  /** Workers put nothing off: the others would not know of it. */
  catchUp(): void {}

  /** What the workers said when they were last asked: it may have been some time ago, and is never too late. */
  oldestArrivalEpochMs(): number | null {
    let oldestMs = Infinity;
    for (const seat of this.#seats.values()) {
      oldestMs = Math.min(oldestMs, seat.oldestEpochMs);
      void this.#askOldest(seat);
    }
    return Number.isFinite(oldestMs) ? oldestMs : null;
  }

  async #askOldest(seat: Seat): Promise<void> {
    // One that has ended meanwhile has nothing more to tell.
    const result = await seat.order({ what: "oldest arrival" }).catch(() => null);
    if (result?.kind === "oldest") seat.oldestEpochMs = result.atEpochMs;
  }

  destroy(): void {
    if (this.#phase === "destroyed") return;
    const wasOpen = this.#phase !== "new";
    this.#phase = "destroyed";
    const { clock } = this.#options;
    for (const seat of this.#seats.values()) {
      seat.destroy();
      const timer = clock.after(END_MS, () => seat.terminate());
      void seat.ended.then(() => timer.cancel());
    }
    if (!wasOpen) return;
    // The process may end as soon as this returns, and clients are to see broken connections, not ends of answers.
    const untilMs = clock.nowMs() + FAREWELL_MS;
    for (const worker of this.#seats.keys()) {
      waitUntilDestroyed(this.#memory, worker, Math.max(0, untilMs - clock.nowMs()));
    }
  }

  // ── the workers ───────────────────────────────────────────────────────────────────────────────────────────────────

  #startSeat(worker: number): Seat {
    const { setup, clock, tls, snapshot, startThread } = this.#options;
    const thread = startThread({
      ...setup,
      worker,
      memory: this.#memory,
      startedAtEpochMs: this.#startedAtEpochMs,
      clockZeroMs: zeroOf(clock.nowMs()),
      states: engineStates(snapshot()),
      tls: tls?.() ?? null,
    });
    const seat = new Seat(this, worker, thread, { ms: clock.nowMs(), epochMs: clock.epochMs() });
    this.#seats.set(worker, seat);
    this.hub.join(seat);
    void seat.ended.then((reason) => this.#onEnded(seat, reason));
    return seat;
  }

  #onEnded(seat: Seat, reason: string): void {
    const { clock, log } = this.#options;
    const { worker } = seat;
    this.#seats.delete(worker);
    const requests = this.hub.leave(seat);
    forgetWorker(this.#memory, worker);
    if (this.#phase === "destroyed" || this.#phase === "new") return;
    log.error("worker died", { worker, reason, requests });
    if (this.#phase === "stopping") return;
    const isShort = clock.nowMs() - seat.startedAtMs < SHORT_LIFE_MS;
    const deaths = isShort ? (this.#deaths.get(worker) ?? 0) + 1 : 0;
    this.#deaths.set(worker, deaths);
    const pauseMs = deaths === 0 ? 0 : Math.min(PAUSE_MS * 2 ** (deaths - 1), PAUSE_MAX_MS);
    clock.after(pauseMs, () => void this.#replace(worker));
  }

  /** If it cannot listen it is ended, and so tried again. */
  async #replace(worker: number): Promise<void> {
    const address = this.#address;
    if (this.#phase !== "open" || address === null) return;
    const { log } = this.#options;
    let seat: Seat | null = null;
    try {
      seat = this.#startSeat(worker);
      await this.#listenOn(seat, address.host, address.port);
      log.info("worker replaced", { worker });
      // Whoever has been told to stop meanwhile has told the others only.
      if (this.#phase !== "open") await seat.order({ what: "stop accepting" });
    } catch (error) {
      log.error("worker not replaced", { worker, reason: describeError(error) });
      seat?.terminate();
    }
  }

  #sayToAll(message: ToWorker): void {
    for (const seat of this.#seats.values()) seat.say(message);
  }

  // ── what they say ─────────────────────────────────────────────────────────────────────────────────────────────────

  onPrepare(seat: Seat, model: ModelId): void {
    this.#options.lives.tell(seat, model, this.#options.directory);
  }

  onMessage(seat: Seat, message: FromWorker): void {
    try {
      this.#take(seat, message);
    } catch (error) {
      this.#options.onBug(error);
      if (message.kind !== "request") return;
      const reason = failure("internal_error", "Something went wrong inside llmux.");
      seat.say({ kind: "refused", waiter: message.waiter, failure: reason });
    }
  }

  #take(seat: Seat, message: FromWorker): void {
    switch (message.kind) {
      case "request":
        return this.hub.request(seat, message.waiter, message.model, message.priority);
      case "abandoned":
        return this.hub.abandoned(seat, message.waiter);
      case "released":
        return this.hub.released(seat, message.lease, message.outcome);
      case "ended":
        return this.#options.onAccess(message.record);
      case "response made":
        return this.#madeResponses.keep(message.id, message.model);
      case "who made":
        // Its maker has said so before its client could ask, but that may not have been heard yet.
        for (const other of this.#seats.values()) if (other !== seat) other.drain();
        return seat.say({
          kind: "made by",
          question: message.question,
          model: this.#madeResponses.find(message.id),
        });
      case "how is":
        return void this.#tellHealth(seat, message);
      case "look at queues":
        return this.#tellQueues(seat, message.question);
      case "surge over":
        return this.#options.onSurgeOver();
      case "bug":
        return this.#options.onBug(Object.assign(new Error(message.message), { stack: message.stack }));
      case "done":
        return undefined;
      default:
        return unreachable(message);
    }
  }

  async #tellHealth(seat: Seat, { question, life, model }: Extract<FromWorker, { kind: "how is" }>): Promise<void> {
    const { lives, directory } = this.#options;
    seat.say({ kind: "health", question, health: await lives.healthIn(life, model, directory) });
  }

  #tellQueues(seat: Seat, question: number): void {
    const { directory, setup } = this.#options;
    const places = this.hub.positionsOf(seat);
    const progress = setup.models.map(({ id }) => [id, directory.info(id).progress] as const);
    seat.say({
      kind: "queues",
      question,
      progress: progress.flatMap(([model, stage]) => (stage === null ? [] : [[model, stage] as const])),
      positions: places.map(({ waiter, position }) => [waiter, position] as const),
    });
  }
}
