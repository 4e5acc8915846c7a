/** A whole gateway on loopback for tests: the real scheduler, effects that play the orchestrator, and fake engines. */
import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import { failure, type Failure } from "../../base/failure.ts";
import type { TlsIdentity } from "../../base/tls-identity.ts";
import type { Effects } from "../../core/effects.ts";
import type { JournalEntry } from "../../core/journal.ts";
import { fifo } from "../../core/policies/fifo.ts";
import { Scheduler } from "../../core/scheduler.ts";
import type { AccessRecord } from "../../ports/access-record.ts";
import type { Clock } from "../../ports/clock.ts";
import type { StartProgress } from "../../ports/engine-directory.ts";

import type { ApiKey } from "../doorkeeper.ts";
import { LeaseDesk } from "../lease-desk.ts";
import { createGateway, type Gateway, type GatewayLimits } from "../server.ts";
import { FakeEngine } from "./fake-engine.ts";

/** Real time. */
export const realClock: Clock = {
  nowMs: () => performance.now(),
  epochMs: () => Date.now(),
  after(delayMs, fire) {
    const timer = setTimeout(fire, delayMs);
    return { cancel: () => clearTimeout(timer) };
  },
};

/** How a stage differs from the usual one. */
export interface StageOptions {
  /** Some of those that there usually are. */
  readonly models?: readonly (typeof MODELS)[number][];
  /** What engines call their models, by the id. */
  readonly upstreamNames?: Readonly<Record<string, string>>;
  readonly requestTimeoutMs?: number;
  readonly drainTimeoutMs?: number | null;
  readonly minActiveMs?: number;
  /** How many requests each model takes at once. */
  readonly inFlightMax?: number;
  readonly bodyBytesMax?: number;
  readonly spoolFolder?: string;
  readonly limits?: Partial<GatewayLimits>;
  readonly apiKeys?: readonly ApiKey[];
  readonly adminKeyHash?: string;
  readonly tls?: () => TlsIdentity;
  /** The clock of the gateway. */
  readonly clock?: Clock;
  /** What happens when an engine is to be started or woken; by default it comes up. */
  readonly onBringUp?: (stage: Stage, model: string) => void;
}

/** The models `alpha` (alias `first`) and `org/beta`, which share one device. */
export const MODELS = [
  { id: "alpha", aliases: ["first"] },
  { id: "org/beta", aliases: [] },
] as const;

/** See `createStage`. */
export class Stage {
  readonly #access: AccessRecord[] = [];
  readonly bugs: unknown[] = [];
  readonly journal: JournalEntry[] = [];
  /** What the scheduler has asked for, as `start alpha`. */
  readonly asked: string[] = [];
  readonly engines = new Map(MODELS.map(({ id }) => [id as string, new FakeEngine()]));
  readonly scheduler: Scheduler;
  readonly desk: LeaseDesk;
  readonly gateway: Gateway;
  readonly #onBringUp: (stage: Stage, model: string) => void;
  #alarm: NodeJS.Timeout | undefined;
  #isClosed = false;
  port = 0;
  /** Of whoever is asked about. */
  progress: StartProgress | null = null;

  constructor(options: StageOptions) {
    this.#onBringUp = options.onBringUp ?? ((stage, model) => void stage.bringUp(model));
    const { inFlightMax } = options;
    const few = inFlightMax === undefined ? {} : { inFlightMax };
    const common = { devices: ["0"], sleepLevel: 1 as const, ...few };
    const specs = (options.models ?? MODELS).map(({ id }) => Object.assign({ id }, common));
    const policy = fifo({ minActiveMs: options.minActiveMs ?? 0 });
    const { requestTimeoutMs = 60_000, drainTimeoutMs = null } = options;
    this.scheduler = new Scheduler(specs, { policy, requestTimeoutMs, drainTimeoutMs }, this.#effects(), this.nowMs);
    this.desk = new LeaseDesk({
      clock: realClock,
      scheduler: () => this.scheduler,
      directory: {
        connection: (model) => this.engine(model).connection,
        info: (model) => ({
          model,
          pid: null,
          port: null,
          startedAtEpochMs: null,
          logFile: "",
          progress: this.progress,
        }),
      },
    });
    this.gateway = createGateway({
      models: (options.models ?? MODELS).map(({ id, aliases }) => ({
        id,
        aliases,
        upstreamName: options.upstreamNames?.[id] ?? null,
      })),
      desk: this.desk,
      clock: options.clock ?? realClock,
      apiKeys: options.apiKeys ?? [],
      adminKeyHash: options.adminKeyHash ?? null,
      ...(options.tls === undefined ? {} : { tls: options.tls }),
      snapshot: () => this.scheduler.snapshot(),
      bodyBytesMax: options.bodyBytesMax ?? 1_000_000,
      ...(options.spoolFolder === undefined ? {} : { spoolFolder: options.spoolFolder }),
      onAccess: (record) => this.#access.push(record),
      onBug: (error) => this.bugs.push(error),
      limits: options.limits ?? {},
    });
  }

  /** Of all requests that are over. */
  get access(): AccessRecord[] {
    this.gateway.catchUp();
    return this.#access;
  }

  get nowMs(): number {
    return realClock.nowMs();
  }

  engine(model: string): FakeEngine {
    const engine = this.engines.get(model);
    assert.ok(engine !== undefined, `no engine for ${model}`);
    return engine;
  }

  async bringUp(model: string): Promise<void> {
    if (this.engine(model).connection === null) await this.engine(model).start();
    this.scheduler.onAwake(model, this.nowMs);
  }

  /** The engine's process has died and the orchestrator notices. */
  crash(model: string, message = `the engine of model ${model} was killed`): void {
    this.engine(model).die();
    this.noticeCrash(model, failure("engine_crashed", message));
  }

  noticeCrash(model: string, reason: Failure): void {
    this.engine(model).forget();
    this.scheduler.onCrashed(model, reason, this.nowMs);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.gateway.destroy();
    await this.gateway.idle();
    clearTimeout(this.#alarm);
    for (const engine of this.engines.values()) engine.destroy();
  }

  #effects(): Effects {
    const ask = (what: string, model: string): void => void this.asked.push(`${what} ${model}`);
    return {
      start: (model) => {
        ask("start", model);
        setImmediate(() => this.#onBringUp(this, model));
      },
      wake: (model) => {
        ask("wake", model);
        setImmediate(() => this.#onBringUp(this, model));
      },
      sleep: (model) => {
        ask("sleep", model);
        setImmediate(() => this.scheduler.onAsleep(model, this.nowMs));
      },
      stop: (model) => {
        ask("stop", model);
        this.engine(model).die();
        this.engine(model).forget();
        setImmediate(() => this.scheduler.onStopped(model, this.nowMs));
      },
      grant: (lease) => this.desk.onGrant(lease),
      refuse: (waiter, reason) => this.desk.onRefuse(waiter, reason),
      revoke: (lease, reason) => this.desk.onRevoke(lease, reason),
      alarmAt: (timeMs) => {
        clearTimeout(this.#alarm);
        if (timeMs === null || this.#isClosed) return;
        this.#alarm = setTimeout(() => this.scheduler.onAlarm(this.nowMs), Math.max(0, timeMs - this.nowMs));
      },
      record: (entry) => {
        this.desk.onJournal(entry);
        this.journal.push(entry);
      },
      finished: () => ask("finished", ""),
    };
  }
}

/** Sets the stage for one test. When the test is over, no lease may be out, nobody may wait, and no bug may have shown. */
export async function createStage(context: TestContext, options: StageOptions = {}): Promise<Stage> {
  const stage = new Stage(options);
  stage.port = (await stage.gateway.listen("127.0.0.1", 0)).port;
  context.after(async () => {
    await stage.close();
    assert.deepEqual(stage.bugs, []);
    assert.equal(stage.desk.leasesOut, 0, "leases are out at the end");
    assert.equal(stage.desk.waiting, 0, "somebody waits at the end");
    for (const model of stage.scheduler.snapshot().models) assert.equal(model.inFlight + model.waiting, 0);
    stage.scheduler.assertInvariants();
  });
  return stage;
}

/** Waits until the condition holds; fails after ten seconds, and says what was waited for. */
export async function until(condition: () => boolean, what: string): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (!condition()) {
    assert.ok(performance.now() < deadline, `never happened: ${what}`);
    await new Promise((resolve) => {
      setTimeout(resolve, 2);
    });
  }
}
