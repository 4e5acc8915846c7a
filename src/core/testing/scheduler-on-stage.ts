/** A scheduler whose effects are only written down: what the tests of this room look at. */
import { assert } from "../../base/assert.ts";
import { failure, type Failure } from "../../base/failure.ts";
import type { Effects } from "../effects.ts";
import type { JournalEntry } from "../journal.ts";
import type { Lease, LeaseOutcome, WaiterId } from "../lease.ts";
import type { MemoryMeasurement } from "../memory.ts";
import type { ModelId, ModelSpec, Priority } from "../model.ts";
import { fifo } from "../policies/fifo.ts";
import type { OperatorCommand } from "../operator.ts";
import { Scheduler, type SchedulerOptions } from "../scheduler.ts";
import type { ModelSnapshot } from "../snapshot.ts";

/** What is on the stage, and what the scheduler is to be told beside that. */
export interface StageOptions extends Partial<SchedulerOptions> {
  /** By name; one device "0" and level 1 unless told otherwise. */
  readonly models: Readonly<Record<ModelId, Partial<Omit<ModelSpec, "id">>>>;
  /** Of fifo, which is the policy unless told otherwise, in ms. */
  readonly minActiveMs?: number;
}

/** Time stands still but for `pass`. After every event the scheduler's invariants are checked. */
export class SchedulerOnStage {
  readonly scheduler: Scheduler;
  readonly journal: JournalEntry[] = [];
  /** Why each request was refused or revoked. */
  readonly reasons = new Map<WaiterId, Failure>();
  nowMs = 0;
  alarmAtMs: number | null = null;
  #told: string[] = [];
  readonly #leases = new Map<WaiterId, Lease>();

  /** Requests wait for a minute, and drains have no limit, unless told otherwise. */
  constructor({ models, minActiveMs = 0, ...options }: StageOptions) {
    const specs = Object.entries(models).map(([id, model]): ModelSpec => {
      return Object.assign({ id, devices: ["0"], sleepLevel: 1 as const }, model);
    });
    const usual = { policy: fifo({ minActiveMs }), requestTimeoutMs: 60_000, drainTimeoutMs: null };
    this.scheduler = new Scheduler(specs, { ...usual, ...options }, this.#effects(), 0);
  }

  /** What the scheduler has asked for since the last call: "start a", "grant 1", "refuse 2 queue_timeout", … */
  told(): string[] {
    const told = this.#told;
    this.#told = [];
    return told;
  }

  /** One request for a model under each of these numbers. */
  request(model: ModelId, ...waiters: readonly WaiterId[]): this {
    for (const waiter of waiters) this.#event(() => this.scheduler.onRequest(waiter, model, this.nowMs));
    return this;
  }

  /** The same, with a priority of their own. */
  requestAs(priority: Priority, model: ModelId, ...waiters: readonly WaiterId[]): this {
    for (const waiter of waiters) this.#event(() => this.scheduler.onRequest(waiter, model, this.nowMs, priority));
    return this;
  }

  abandon(waiter: WaiterId): this {
    return this.#event(() => this.scheduler.onAbandoned(waiter, this.nowMs));
  }

  /** Hands in the leases of these requests. */
  release(waiters: WaiterId | readonly WaiterId[], outcome: LeaseOutcome = "served"): this {
    for (const waiter of typeof waiters === "number" ? [waiters] : waiters) {
      const lease = this.#leases.get(waiter);
      assert(lease !== undefined, `request ${waiter} has no lease`);
      this.#leases.delete(waiter);
      this.#event(() => this.scheduler.onReleased(lease.id, outcome, this.nowMs));
    }
    return this;
  }

  awake(model: ModelId): this {
    return this.#event(() => this.scheduler.onAwake(model, this.nowMs));
  }

  /** `freeBytes`: what the GPU is said to have had free. */
  wakeFailed(model: ModelId, code: "wake_failed" | "out_of_memory" = "wake_failed", freeBytes?: number): this {
    const reason = failure(code, "out of memory", freeBytes === undefined ? {} : { freeBytes });
    return this.#event(() => this.scheduler.onWakeFailed(model, reason, this.nowMs));
  }

  asleep(model: ModelId): this {
    return this.#event(() => this.scheduler.onAsleep(model, this.nowMs));
  }

  sleepFailed(model: ModelId): this {
    return this.#event(() => this.scheduler.onSleepFailed(model, failure("sleep_failed", "it hangs"), this.nowMs));
  }

  stopped(model: ModelId): this {
    return this.#event(() => this.scheduler.onStopped(model, this.nowMs));
  }

  stopFailed(model: ModelId): this {
    return this.#event(() => this.scheduler.onStopFailed(model, failure("stop_failed", "pid 7 lives on"), this.nowMs));
  }

  crashed(model: ModelId): this {
    return this.#event(() => this.scheduler.onCrashed(model, failure("engine_crashed", "exit 1"), this.nowMs));
  }

  /** Engines can be started from now on. */
  started(): this {
    return this.#event(() => this.scheduler.onStarted(this.nowMs));
  }

  memoryMeasured(model: ModelId, measured: MemoryMeasurement): this {
    return this.#event(() => this.scheduler.onMemoryMeasured(model, measured, this.nowMs));
  }

  /** Null, or why nothing is done. */
  operator(model: ModelId, command: OperatorCommand): Failure | null {
    let refused: Failure | null = null;
    this.#event(() => (refused = this.scheduler.onOperator(model, command, this.nowMs)));
    return refused;
  }

  shutdown(timeoutMs = 30_000): this {
    return this.#event(() => this.scheduler.onShutdown(timeoutMs, this.nowMs));
  }

  /** Lets time go by; the alarms of that time go off when they are due. */
  pass(durationMs: number): this {
    const untilMs = this.nowMs + durationMs;
    while (this.alarmAtMs !== null && this.alarmAtMs <= untilMs) {
      this.nowMs = Math.max(this.nowMs, this.alarmAtMs);
      this.alarmAtMs = null;
      this.#event(() => this.scheduler.onAlarm(this.nowMs));
    }
    this.nowMs = untilMs;
    return this;
  }

  /** Brings a stopped or sleeping model awake for one request, which is over at once; forgets what was told meanwhile. */
  bringUp(model: ModelId, waiter: WaiterId): this {
    this.request(model, waiter).awake(model).release(waiter);
    this.told();
    return this;
  }

  /** `bringUp`, then put to sleep at its level by an operator. */
  bringToSleep(model: ModelId, waiter: WaiterId): this {
    this.bringUp(model, waiter).operator(model, "sleep");
    this.asleep(model).told();
    return this;
  }

  model(id: ModelId): ModelSnapshot {
    const found = this.scheduler.snapshot().models.find((model) => model.id === id);
    assert(found !== undefined, `no model ${id}`);
    return found;
  }

  state(id: ModelId): ModelSnapshot["state"]["kind"] {
    return this.model(id).state.kind;
  }

  /** The journal's entries of one kind. */
  entries<K extends JournalEntry["kind"]>(kind: K): Extract<JournalEntry, { kind: K }>[] {
    return this.journal.filter((entry): entry is Extract<JournalEntry, { kind: K }> => entry.kind === kind);
  }

  #event(send: () => void): this {
    send();
    this.scheduler.assertInvariants();
    return this;
  }

  #effects(): Effects {
    const tell = (...words: readonly (string | number)[]): void => void this.#told.push(words.join(" "));
    return {
      start: (model) => tell("start", model),
      wake: (model, from) => tell("wake", model, from),
      sleep: (model, level, running) => tell("sleep", model, level, ...(running === "kept" ? [running] : [])),
      stop: (model) => tell("stop", model),
      grant: (lease) => {
        this.#leases.set(lease.waiter, lease);
        tell("grant", lease.waiter);
      },
      refuse: (waiter, reason) => {
        this.reasons.set(waiter, reason);
        tell("refuse", waiter, reason.code);
      },
      revoke: (lease, reason) => {
        this.reasons.set(lease.waiter, reason);
        tell("revoke", lease.waiter, reason.code);
      },
      alarmAt: (timeMs) => {
        this.alarmAtMs = timeMs;
      },
      record: (entry) => void this.journal.push(entry),
      finished: () => tell("finished"),
    };
  }
}
