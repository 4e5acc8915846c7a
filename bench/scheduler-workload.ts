/** What happens to a scheduler in a busy hour, written down so that it can happen again to another one, and nothing else with it. */
import { assert, unreachable } from "../src/base/assert.ts";
import type { Effects } from "../src/core/effects.ts";
import type { Lease, LeaseId, WaiterId } from "../src/core/lease.ts";
import type { ModelId, ModelSpec } from "../src/core/model.ts";
import { boundedWait } from "../src/core/policies/bounded-wait.ts";
import { Scheduler, type SchedulerOptions } from "../src/core/scheduler.ts";
import { Random } from "../src/simulation/random.ts";
import { VirtualClock, type Scheduled } from "../src/simulation/virtual-clock.ts";

/** One event, with its time on the scheduler's clock. */
export type SchedulerEvent =
  | { readonly kind: "request"; readonly atMs: number; readonly waiter: WaiterId; readonly model: ModelId }
  | { readonly kind: "abandoned"; readonly atMs: number; readonly waiter: WaiterId }
  | { readonly kind: "released"; readonly atMs: number; readonly lease: LeaseId }
  | { readonly kind: "awake" | "asleep"; readonly atMs: number; readonly model: ModelId }
  | { readonly kind: "alarm"; readonly atMs: number };

/** What the hour is made of. */
export interface WorkloadSize {
  readonly models: number;
  readonly devices: number;
  /** Requests that wait at any moment. */
  readonly waiting: number;
  /** Events that are written down once so many wait. */
  readonly events: number;
}

/** A workload that was played once. */
export interface RecordedWorkload {
  readonly size: WorkloadSize;
  /** Until so many wait as should. */
  readonly buildUp: readonly SchedulerEvent[];
  readonly events: readonly SchedulerEvent[];
}

/** A request is in for so long on average, in ms: about a hundred tokens. */
const SERVICE_MS = 2_000;

/** A client goes away after so long on average, in ms: as long as llmux lets it wait unless told otherwise. */
const PATIENCE_MS = 60_000;

/** What every sleep and every wake takes, in ms. */
const SLEEP_MS = 1_000;
const WAKE_MS = 2_000;

/** Between two arrivals as long as too few wait, on average, in ms. */
const ARRIVAL_MS = 1;

const IN_FLIGHT_MAX = 64;

/** Nobody is refused. */
const TIMEOUT_MS = 24 * 3_600_000;

/** A scheduler as the workload is for. */
export function newScheduler({ models, devices }: WorkloadSize, effects: Effects): Scheduler {
  const specs = Array.from({ length: models }, (_, index): ModelSpec => {
    return {
      id: nameOf(index),
      devices: [String(index % devices)],
      sleepLevel: 1,
      beginsAsleepAt: 1,
      inFlightMax: IN_FLIGHT_MAX,
    };
  });
  const options: SchedulerOptions = {
    policy: boundedWait({ targetWaitMs: 25_000, maxWaitMs: 120_000 }),
    requestTimeoutMs: TIMEOUT_MS,
    drainTimeoutMs: null,
    forcedCredit: { share: 0.1, capMs: 20_000 },
  };
  return new Scheduler(specs, options, effects, 0);
}

/** Gives one event to a scheduler. */
export function send(scheduler: Scheduler, event: SchedulerEvent): void {
  switch (event.kind) {
    case "request":
      return scheduler.onRequest(event.waiter, event.model, event.atMs);
    case "abandoned":
      return scheduler.onAbandoned(event.waiter, event.atMs);
    case "released":
      return scheduler.onReleased(event.lease, "served", event.atMs);
    case "awake":
      return scheduler.onAwake(event.model, event.atMs);
    case "asleep":
      return scheduler.onAsleep(event.model, event.atMs);
    case "alarm":
      return scheduler.onAlarm(event.atMs);
  }
  return unreachable(event);
}

/** Plays it once. The same size gives the same events, as long as the scheduler decides the same. */
export function recordWorkload(size: WorkloadSize): RecordedWorkload {
  return new Recording(size).run();
}

class Recording {
  readonly #size: WorkloadSize;
  readonly #clock = new VirtualClock(null);
  readonly #random = new Random(1);
  readonly #scheduler: Scheduler;
  readonly #events: SchedulerEvent[] = [];
  readonly #waiting = new Map<WaiterId, Scheduled>();
  #buildUpEvents: number | null = null;
  #lastWaiter = 0;
  #alarm: Scheduled | null = null;

  constructor(size: WorkloadSize) {
    this.#size = size;
    this.#scheduler = newScheduler(size, this.#effects());
  }

  run(): RecordedWorkload {
    this.#arriveSoon();
    const { events: wanted } = this.#size;
    while (this.#buildUpEvents === null || this.#events.length < this.#buildUpEvents + wanted) {
      assert(this.#clock.step(), "nothing will happen any more");
    }
    const buildUp = this.#events.slice(0, this.#buildUpEvents);
    return { size: this.#size, buildUp, events: this.#events.slice(this.#buildUpEvents) };
  }

  #send(event: SchedulerEvent): void {
    this.#events.push(event);
    send(this.#scheduler, event);
  }

  /** One after the other as long as too few wait; whoever stops waiting is replaced at once. */
  #arriveSoon(): void {
    this.#clock.after(this.#random.exponential(ARRIVAL_MS), () => {
      if (this.#waiting.size < this.#size.waiting) this.#arrive();
      else this.#buildUpEvents ??= this.#events.length;
      this.#arriveSoon();
    });
  }

  #arrive(): void {
    this.#lastWaiter += 1;
    const waiter = this.#lastWaiter;
    const leaves = this.#clock.after(this.#random.exponential(PATIENCE_MS), () => {
      this.#waiting.delete(waiter);
      this.#send({ kind: "abandoned", atMs: this.#clock.nowMs, waiter });
    });
    this.#waiting.set(waiter, leaves);
    this.#send({ kind: "request", atMs: this.#clock.nowMs, waiter, model: this.#popularModel() });
  }

  /** Some models are asked for far more often than others: the square of a fraction favours the first. */
  #popularModel(): ModelId {
    return nameOf(Math.floor(this.#random.next() ** 2 * this.#size.models));
  }

  #effects(): Effects {
    const answer = (delayMs: number, kind: "awake" | "asleep") => (model: ModelId) => {
      this.#clock.after(delayMs, () => this.#send({ kind, atMs: this.#clock.nowMs, model }));
    };
    return {
      ...silentEffects(),
      wake: answer(WAKE_MS, "awake"),
      sleep: answer(SLEEP_MS, "asleep"),
      grant: (lease) => this.#letIn(lease),
      alarmAt: (timeMs) => {
        if (this.#alarm !== null) this.#alarm.run = null;
        this.#alarm =
          timeMs === null ? null : this.#clock.at(timeMs, () => this.#send({ kind: "alarm", atMs: this.#clock.nowMs }));
      },
    };
  }

  #letIn({ id, waiter }: Lease): void {
    const leaves = this.#waiting.get(waiter);
    assert(leaves !== undefined, `request ${waiter} is let in, and it does not wait`);
    leaves.run = null;
    this.#waiting.delete(waiter);
    this.#clock.after(this.#random.exponential(SERVICE_MS), () => {
      this.#send({ kind: "released", atMs: this.#clock.nowMs, lease: id });
    });
  }
}

/** Effects of which nothing comes. */
export function silentEffects(): Effects {
  return {
    start: unexpected,
    wake: nothing,
    sleep: nothing,
    stop: unexpected,
    grant: nothing,
    refuse: unexpected,
    revoke: unexpected,
    alarmAt: nothing,
    record: nothing,
    finished: unexpected,
  };
}

function nothing(): void {}

function unexpected(): never {
  throw new Error("the workload has no such effect");
}

function nameOf(index: number): ModelId {
  return `model-${index}`;
}
