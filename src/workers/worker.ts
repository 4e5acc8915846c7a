/** One worker: a whole gateway, whose scheduler is in the main thread. */
import type { MessagePort } from "node:worker_threads";
import { assert, unreachable } from "../base/assert.ts";
import { describeError } from "../base/failure.ts";
import type { TlsIdentity } from "../base/tls-identity.ts";
import type { ModelId } from "../core/model.ts";
import type { ApiKey } from "../gateway/doorkeeper.ts";
import type { EngineStates } from "../gateway/engine-states.ts";
import type { QueueView } from "../gateway/heart.ts";
import { LeaseDesk, type Waiting } from "../gateway/lease-desk.ts";
import { MadeResponses } from "../gateway/made-responses.ts";
import { createGateway, type Gateway } from "../gateway/server.ts";
import type { Clock } from "../ports/clock.ts";
import type { EngineHealth } from "../ports/engine-directory.ts";
import type { FromWorker, OrderResult, QuestionId, ToWorker, WorkerOrder } from "./messages.ts";
import { Outbox } from "./outbox.ts";
import { Questions } from "./questions.ts";
import { RemoteEngines, type CreateConnections } from "./remote-engines.ts";
import { RemoteScheduler } from "./remote-scheduler.ts";
import { sayDestroyed, sharedConnections, sharedKeyCounts } from "./shared-counts.ts";
import { zeroOf, type WorkerSetup } from "./worker-setup.ts";

/** The thread that it runs in. */
export interface WorkerPlatform {
  readonly clock: Clock;
  readonly createConnections: CreateConnections;
  readonly collectGarbage?: () => void;
  /** Ends the thread; what was said before arrives. */
  readonly end: () => void;
}

/** Begins to hear what comes through the port, and to do what it is told. */
export function startWorker(port: MessagePort, setup: WorkerSetup, platform: WorkerPlatform): void {
  const worker = new GatewayWorker(port, setup, platform);
  port.on("message", (messages: readonly ToWorker[]) => worker.hear(messages));
}

/** Everything in one thread. */
class GatewayWorker {
  readonly #setup: WorkerSetup;
  readonly #platform: WorkerPlatform;
  readonly #clock: Clock;
  readonly #outbox: Outbox<FromWorker>;
  readonly #scheduler: RemoteScheduler;
  readonly #engines: RemoteEngines;
  readonly #desk: LeaseDesk;
  readonly #gateway: Gateway;
  readonly #looking = new Questions<QueueView>();
  readonly #finding = new Questions<ModelId | null>();
  readonly #examining = new Questions<EngineHealth>();
  #states: EngineStates;
  #tls: TlsIdentity | null;

  constructor(port: MessagePort, setup: WorkerSetup, platform: WorkerPlatform) {
    this.#setup = setup;
    this.#platform = platform;
    this.#clock = clockFrom(setup.clockZeroMs, platform.clock);
    this.#states = setup.states;
    this.#tls = setup.tls;
    this.#outbox = new Outbox<FromWorker>(port);
    this.#scheduler = new RemoteScheduler(this.#say, () => this.#desk);
    this.#engines = new RemoteEngines(
      platform.createConnections,
      (life, model) =>
        new Promise((resolve) => {
          this.#say({ kind: "how is", question: this.#examining.add(resolve), life, model });
        }),
    );
    this.#desk = new LeaseDesk({
      clock: this.#clock,
      scheduler: () => this.#scheduler,
      directory: this.#engines,
    });
    this.#gateway = this.#createGateway();
  }

  hear(messages: readonly ToWorker[]): void {
    for (const message of messages) this.#hear(message);
  }

  readonly #say = (message: FromWorker): void => this.#outbox.say(message);

  #createGateway(): Gateway {
    const { models, apiKeys, adminKeyHash, bodyBytesMax, spoolFolder, limits, tls } = this.#setup;
    return createGateway({
      models,
      apiKeys,
      adminKeyHash,
      bodyBytesMax,
      spoolFolder,
      limits,
      desk: this.#desk,
      clock: this.#clock,
      snapshot: () => this.#states,
      onAccess: (record) => this.#say({ kind: "ended", record }),
      onSurgeOver: () => this.#onSurgeOver(),
      onBug: (error) => {
        const stack = error instanceof Error ? (error.stack ?? "") : "";
        this.#say({ kind: "bug", message: describeError(error), stack });
      },
      ...(tls === null ? {} : { tls: () => this.#tls ?? tls }),
      commons: this.#createCommons(),
    });
  }

  #createCommons() {
    const { apiKeys, memory, worker, startedAtEpochMs } = this.#setup;
    const indexes = new Map(apiKeys.map((key, index) => [key, index]));
    const nowMs = (): number => this.#clock.nowMs();
    const indexOf = (key: ApiKey): number => {
      const index = indexes.get(key);
      assert(index !== undefined, `${key.name} is no key of this gateway`);
      return index;
    };
    return {
      connections: sharedConnections(memory, worker),
      keyCountsOf: (key: ApiKey) => sharedKeyCounts(memory, worker, { index: indexOf(key), allowance: key }, nowMs),
      madeResponses: new MadeResponses({
        tell: (id, model) => {
          this.#say({ kind: "response made", id, model });
          // Its client may ask another worker for it as soon as it knows its id.
          this.#outbox.flush();
        },
        ask: (id, found) => this.#say({ kind: "who made", question: this.#finding.add(found), id }),
      }),
      lookAtQueues: (done: (view: QueueView) => void) =>
        this.#say({ kind: "look at queues", question: this.#looking.add(done) }),
      startedAtEpochMs,
    };
  }

  #onSurgeOver(): void {
    this.#say({ kind: "surge over" });
    for (const afterMs of this.#setup.tidyAfterMs) {
      this.#clock.after(afterMs, () => this.#platform.collectGarbage?.());
    }
  }

  #hear(message: ToWorker): void {
    switch (message.kind) {
      case "granted":
      case "refused":
      case "revoked":
        return this.#scheduler.hear(message);
      case "life begun":
      case "life ended":
        return this.#engines.hear(message);
      case "journal":
        return this.#desk.onJournal(message.entry);
      case "states":
        this.#states = message.states;
        return undefined;
      case "queues":
        return this.#onQueues(message);
      case "made by":
        return this.#finding.answer(message.question, message.model);
      case "health":
        return this.#examining.answer(message.question, message.health);
      case "renew tls":
        this.#tls = message.identity;
        return this.#gateway.renewTls(message.identity);
      case "order":
        return this.#obey(message.question, message.order);
      case "destroy":
        return this.#destroy();
    }
  }

  #onQueues({ question, progress, positions }: Extract<ToWorker, { kind: "queues" }>): void {
    const progresses = new Map(progress);
    const places = positions.flatMap(([waiter, position]): [Waiting, number][] => {
      const place = this.#desk.waitingAs(waiter);
      return place === null ? [] : [[place, position]];
    });
    const view = { progressOf: (model: ModelId) => progresses.get(model) ?? null, positions: new Map(places) };
    this.#looking.answer(question, view);
  }

  #obey(question: QuestionId, order: WorkerOrder): void {
    this.#carryOut(order).then(
      (result) => this.#say({ kind: "done", question, result }),
      (error: unknown) =>
        this.#say({ kind: "done", question, result: { kind: "failed", message: describeError(error) } }),
    );
  }

  async #carryOut(order: WorkerOrder): Promise<OrderResult> {
    switch (order.what) {
      case "listen":
        return { kind: "listening", address: await this.#gateway.listen(order.host, order.port) };
      case "stop accepting":
        await this.#gateway.stopAccepting();
        return { kind: "done" };
      case "become idle":
        await this.#gateway.idle();
        return { kind: "done" };
      case "oldest arrival":
        return { kind: "oldest", atEpochMs: this.#gateway.oldestArrivalEpochMs() ?? this.#clock.epochMs() };
    }
    return unreachable(order);
  }

  #destroy(): void {
    this.#gateway.destroy();
    sayDestroyed(this.#setup.memory, this.#setup.worker);
    // What the connections that have just been closed lead to is said too.
    setImmediate(() =>
      setImmediate(() => {
        this.#outbox.flush();
        this.#platform.end();
      }),
    );
  }
}

/** The same time as in the main thread, but for what passes between two looks at two clocks. */
function clockFrom(zeroMs: number, clock: Clock): Clock {
  const shiftMs = zeroOf(clock.nowMs()) - zeroMs;
  return {
    nowMs: () => clock.nowMs() + shiftMs,
    epochMs: () => clock.epochMs(),
    after: (delayMs, fire) => clock.after(delayMs, fire),
  };
}
