/** A gateway in real threads on loopback for tests: the real scheduler, effects that play the orchestrator, and fake engines. */
import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import { MessageChannel, Worker } from "node:worker_threads";
import { describeError, failure } from "../../base/failure.ts";
import type { TlsIdentity } from "../../base/tls-identity.ts";
import type { Effects } from "../../core/effects.ts";
import { fifo } from "../../core/policies/fifo.ts";
import { Scheduler } from "../../core/scheduler.ts";
import type { ApiKey } from "../../gateway/doorkeeper.ts";
import type { GatewayLimits } from "../../gateway/server.ts";
import { FakeEngine } from "../../gateway/testing/fake-engine.ts";
import { MODELS, realClock } from "../../gateway/testing/stage.ts";
import { claimPort } from "../../platform/loopback-port.ts";
import type { AccessRecord } from "../../ports/access-record.ts";
import type { EngineConnection } from "../../ports/engine-directory.ts";
import { RecordingLog } from "../../../test/support/recording-log.ts";
import { EngineLives } from "../engine-lives.ts";
import { GatewayWorkers } from "../gateway-workers.ts";
import type { FromWorker } from "../messages.ts";
import type { Thread } from "../thread.ts";
import type { WorkerData, WorkerSetup } from "../worker-setup.ts";
import type { Death } from "./mortal-worker.ts";

const now = (): number => realClock.nowMs();

/** How a stage differs from the usual one. */
export interface WorkersStageOptions {
  readonly workers?: number;
  readonly limits?: Partial<GatewayLimits>;
  readonly apiKeys?: readonly ApiKey[];
  readonly tls?: () => TlsIdentity;
  /** The file that the threads run, beside this one. */
  readonly entry?: string;
}

/** What a thread has said so far. */
interface Heard {
  readonly thread: Worker;
  readonly messages: FromWorker[];
}

/** See `createWorkersStage`. */
export class WorkersStage {
  readonly access: AccessRecord[] = [];
  readonly bugs: unknown[] = [];
  readonly log = new RecordingLog();
  readonly engines = new Map(MODELS.map(({ id }) => [id as string, new FakeEngine()]));
  readonly scheduler: Scheduler;
  readonly gateway: GatewayWorkers;
  /** The last thread of each worker. */
  readonly threads = new Map<number, Heard>();
  port = 0;
  readonly #lives = new EngineLives();
  readonly #followed = new WeakSet<object>();
  readonly #entry: URL;
  #alarm: NodeJS.Timeout | undefined;
  #isClosed = false;

  constructor(options: WorkersStageOptions) {
    this.#entry = new URL(options.entry ?? "mortal-worker.ts", import.meta.url);
    const specs = MODELS.map(({ id }) => ({ id, devices: ["0"], sleepLevel: 1 as const }));
    const policy = fifo({ minActiveMs: 0 });
    const scheduler = new Scheduler(
      specs,
      { policy, requestTimeoutMs: 60_000, drainTimeoutMs: null },
      this.#effects(),
      realClock.nowMs(),
    );
    this.scheduler = scheduler;
    this.gateway = new GatewayWorkers({
      workers: options.workers ?? 2,
      setup: {
        models: MODELS,
        apiKeys: options.apiKeys ?? [],
        adminKeyHash: null,
        bodyBytesMax: 1_000_000,
        spoolFolder: "/tmp",
        limits: options.limits ?? {},
        tidyAfterMs: [],
      },
      clock: realClock,
      log: this.log,
      scheduler: () => this.scheduler,
      snapshot: () => this.scheduler.snapshot(),
      directory: {
        connection: (model) => this.#connection(model),
        info: (model) => ({
          model,
          pid: null,
          port: null,
          startedAtEpochMs: null,
          logFile: "",
          progress: { stage: "loading weights", percent: 40 },
        }),
      },
      lives: this.#lives,
      startThread: (setup) => this.#startThread(setup),
      claimPort,
      onAccess: (record) => this.access.push(record),
      onSurgeOver: () => {},
      ...(options.tls === undefined ? {} : { tls: options.tls }),
      onBug: (error) => this.bugs.push(error),
    });
  }

  engine(model: string): FakeEngine {
    const engine = this.engines.get(model);
    assert.ok(engine !== undefined, `no engine for ${model}`);
    return engine;
  }

  inFlight(model: string): number {
    return this.scheduler.snapshot().models.find(({ id }) => id === model)?.inFlight ?? -1;
  }

  /** What the living thread of this worker has said of one kind. */
  said<Kind extends FromWorker["kind"]>(worker: number, kind: Kind): readonly Extract<FromWorker, { kind: Kind }>[] {
    const isOf = (message: FromWorker): message is Extract<FromWorker, { kind: Kind }> => message.kind === kind;
    return (this.threads.get(worker)?.messages ?? []).filter(isOf);
  }

  /** Whether both, or all, workers have said something of this kind. */
  allHaveSaid(kind: FromWorker["kind"]): boolean {
    return [...this.threads.keys()].every((worker) => this.said(worker, kind).length > 0);
  }

  kill(worker: number, death: Death): void {
    // Nothing else has an origin here, but other kinds of ports do.
    this.threads.get(worker)?.thread.postMessage(death, []);
  }

  /** The engine's process has died and the orchestrator notices. */
  crash(model: string): void {
    this.engine(model).die();
    this.engine(model).forget();
    this.scheduler.onCrashed(model, failure("engine_crashed", "it was killed"), realClock.nowMs());
  }

  close(): void {
    this.#isClosed = true;
    this.gateway.destroy();
    clearTimeout(this.#alarm);
    for (const engine of this.engines.values()) engine.destroy();
  }

  #connection(model: string): EngineConnection | null {
    const { connection } = this.engine(model);
    if (connection === null || this.#followed.has(connection.dispatcher)) return connection;
    this.#followed.add(connection.dispatcher);
    const { dispatcher, origin } = connection;
    this.#lives.follow(dispatcher, origin, []);
    return connection;
  }

  #startThread(setup: WorkerSetup): Thread {
    const { port1: port, port2 } = new MessageChannel();
    const workerData: WorkerData = { setup, port: port2 };
    const resourceLimits = { maxOldGenerationSizeMb: 64 };
    const thread = new Worker(this.#entry, { workerData, transferList: [port2], resourceLimits });
    const heard: Heard = { thread, messages: [] };
    this.threads.set(setup.worker, heard);
    port.on("message", (messages: readonly FromWorker[]) => heard.messages.push(...messages));
    const ended = new Promise<string>((resolve) => {
      let reason = "";
      thread.on("error", (error) => (reason = describeError(error)));
      thread.once("exit", (code) => resolve(reason === "" ? `code ${code}` : reason));
    });
    return { port, ended, terminate: () => void thread.terminate() };
  }

  #effects(): Effects {
    const bringUp = async (model: string): Promise<void> => {
      if (this.engine(model).connection === null) await this.engine(model).start();
      this.scheduler.onAwake(model, now());
    };
    return {
      start: (model) => void setImmediate(() => void bringUp(model)),
      wake: (model) => void setImmediate(() => void bringUp(model)),
      sleep: (model) => void setImmediate(() => this.scheduler.onAsleep(model, now())),
      stop: (model) => {
        this.engine(model).die();
        this.engine(model).forget();
        setImmediate(() => this.scheduler.onStopped(model, now()));
      },
      grant: (lease) => this.gateway.hub.onGrant(lease),
      refuse: (waiter, reason) => this.gateway.hub.onRefuse(waiter, reason),
      revoke: (lease, reason) => this.gateway.hub.onRevoke(lease, reason),
      alarmAt: (timeMs) => {
        clearTimeout(this.#alarm);
        if (timeMs === null || this.#isClosed) return;
        this.#alarm = setTimeout(() => this.scheduler.onAlarm(now()), Math.max(0, timeMs - now()));
      },
      record: (entry) => this.gateway.onJournal(entry),
      finished: () => {},
    };
  }
}

/** Sets the stage for one test. When the test is over, no lease may be out, nobody may wait, and no bug may have shown. */
export async function createWorkersStage(
  context: TestContext,
  options: WorkersStageOptions = {},
): Promise<WorkersStage> {
  const stage = new WorkersStage(options);
  const threads = (): Promise<unknown>[] =>
    Array.from(
      stage.threads.values(),
      ({ thread }) =>
        new Promise((resolve) => {
          if (thread.threadId === -1) resolve(null);
          else thread.once("exit", resolve);
        }),
    );
  context.after(async () => {
    const ended = threads();
    stage.close();
    await Promise.all(ended);
    // What the ends of the threads lead to happens in the same turn.
    await new Promise((resolve) => void setImmediate(resolve));
    assert.deepEqual(stage.bugs, []);
    assert.equal(stage.gateway.hub.leasesOut, 0, "leases are out at the end");
    assert.equal(stage.gateway.hub.waiting, 0, "somebody waits at the end");
    for (const model of stage.scheduler.snapshot().models) assert.equal(model.inFlight + model.waiting, 0);
    stage.scheduler.assertInvariants();
  });
  stage.port = (await stage.gateway.listen("127.0.0.1", 0)).port;
  return stage;
}
