/** Plays requests against the scheduler in virtual time: its effects move modelled engines, what those do comes back as events. */
import { assert } from "../base/assert.ts";
import type { EngineSpeed } from "../config/config.ts";
import type { Effects } from "../core/effects.ts";
import type { Lease, WaiterId } from "../core/lease.ts";
import type { ModelId, ModelSpec } from "../core/model.ts";
import { Scheduler, type SchedulerOptions } from "../core/scheduler.ts";
import type { Arrival } from "./arrivals.ts";
import type { SleepLevel } from "../core/sleep-level.ts";
import { EngineModel, OUTPUT_TOKENS_MAX, type Job } from "./engine-model.ts";
import { History, type StateSpan, type SwitchSpan } from "./history.ts";
import { VirtualClock, type Scheduled } from "./virtual-clock.ts";

/** A run ends so long after its last arrival; what has not ended then has not been served. */
export const GRACE_MS = 30 * 60_000;

/** A model with how fast its engine is; null where nobody asks for it. */
export interface SimulatedModel {
  readonly spec: ModelSpec;
  readonly speed: EngineSpeed | null;
}

/** What is played. */
export interface Plan {
  readonly models: readonly SimulatedModel[];
  readonly scheduler: SchedulerOptions;
  /** In the order of their times; at least one. */
  readonly arrivals: readonly Arrival[];
  /** Longer answers are cut to this; `OUTPUT_TOKENS_MAX` unless given. */
  readonly outputTokensMax?: number;
  /** An engine that is told to sleep does not begin before it has been awake so long, in ms; 0 unless given. */
  readonly awakeAtLeastMs?: number;
}

/** What became of one request; times on the run's clock, null for what did not happen. */
export interface RequestOutcome {
  readonly arrival: Arrival;
  readonly firstTokenAtMs: number | null;
  /** When it was over: served, or refused, or ended before its time. */
  readonly overAtMs: number | null;
  readonly result: "served" | "refused" | "aborted" | "unfinished";
}

/** What came of a plan. */
export interface Run {
  /** In the order of their arrival. */
  readonly requests: readonly RequestOutcome[];
  readonly states: readonly StateSpan[];
  readonly switches: readonly SwitchSpan[];
  /** From the first arrival to the end of the last request, or to the end of the run. */
  readonly durationMs: number;
  /** The longest wait that the policy stated at any arrival, or at the end by what it had learned; null where it stated none. */
  readonly boundMs: number | null;
}

/** Runs the plan to its end. The same plan gives the same run. */
export function play(plan: Plan): Run {
  return new Stage(plan).play();
}

class Request implements Job, RequestOutcome {
  readonly arrival: Arrival;
  state: Job["state"] = "waiting";
  endsAtWork = 0;
  firstTokenAtMs: number | null = null;
  overAtMs: number | null = null;
  result: RequestOutcome["result"] = "unfinished";
  lease: Lease | null = null;

  constructor(arrival: Arrival) {
    this.arrival = arrival;
  }

  get promptTokens(): number {
    return this.arrival.promptTokens;
  }

  get outputTokens(): number {
    return this.arrival.outputTokens;
  }
}

interface SimulatedEngine {
  readonly id: ModelId;
  readonly speed: EngineSpeed;
  readonly sleepLevel: SleepLevel;
  readonly model: EngineModel<Request>;
  /** Orders up to here are void: the engine was told to stop meanwhile. */
  generation: number;
  awakeSinceMs: number;
}

class Stage {
  readonly #plan: Plan;
  readonly #clock = new VirtualClock(null);
  readonly #requests: readonly Request[];
  readonly #engines = new Map<ModelId, SimulatedEngine>();
  readonly #history: History;
  readonly #scheduler: Scheduler;
  #alarm: Scheduled | null = null;
  /** Requests that are neither served nor missed yet. */
  #open: number;
  #over = false;
  #boundMs: number | null = 0;

  constructor(plan: Plan) {
    const { models, scheduler, arrivals } = plan;
    this.#plan = plan;
    this.#requests = arrivals.map((arrival) => new Request(arrival));
    this.#open = this.#requests.length;
    for (const { spec, speed } of models) if (speed !== null) this.#engines.set(spec.id, this.#newEngine(spec, speed));
    this.#scheduler = new Scheduler(
      models.map(({ spec }) => spec),
      scheduler,
      this.#effects(),
      this.#clock.nowMs,
    );
    this.#history = new History(this.#scheduler.snapshot().models.map(({ id, state }) => [id, state.kind]));
  }

  play(): Run {
    const lastAtMs = this.#requests.at(-1)?.arrival.atMs ?? 0;
    this.#clock.at(lastAtMs + GRACE_MS, () => {
      this.#over = true;
    });
    this.#scheduler.onStarted(this.#clock.nowMs);
    this.#planArrival(0);
    while (this.#open > 0 && !this.#over) assert(this.#clock.step(), "requests are open, and nothing will happen");
    this.#history.end(this.#clock.nowMs);
    for (const { spec } of this.#plan.models) this.#noteBound(spec.id);
    return {
      requests: this.#requests,
      states: this.#history.states,
      switches: this.#history.switches,
      durationMs: this.#clock.nowMs,
      boundMs: this.#boundMs,
    };
  }

  /** One at a time, so that those of one moment keep their order and the clock's heap stays small. */
  #planArrival(waiter: WaiterId): void {
    const request = this.#requests[waiter];
    if (request === undefined) return;
    this.#clock.at(request.arrival.atMs, () => {
      this.#planArrival(waiter + 1);
      this.#noteBound(request.arrival.model);
      this.#scheduler.onRequest(waiter, request.arrival.model, this.#clock.nowMs);
    });
  }

  #noteBound(model: ModelId): void {
    if (this.#boundMs === null) return;
    const boundMs = this.#scheduler.boundMs(model);
    this.#boundMs = boundMs === null ? null : Math.max(this.#boundMs, boundMs);
  }

  #newEngine({ id, sleepLevel }: ModelSpec, speed: EngineSpeed): SimulatedEngine {
    const { outputTokensMax = OUTPUT_TOKENS_MAX } = this.#plan;
    const model = new EngineModel<Request>({ ...speed, outputTokensMax }, this.#clock, {
      onFirstToken: (request) => {
        request.firstTokenAtMs = this.#clock.nowMs;
      },
      onEnd: (request) => {
        this.#end(request, "served");
        this.#release(request, "served");
      },
    });
    return { id, speed, sleepLevel, model, generation: 0, awakeSinceMs: 0 };
  }

  #effects(): Effects {
    return {
      start: (id) =>
        this.#order(
          id,
          ({ speed }) => speed.coldMs,
          (engine) => this.#up(engine),
        ),
      wake: (id, from) =>
        this.#order(
          id,
          // From deeper than its own level, where the host's memory is short: its weights are read anew, as by a start.
          ({ speed, sleepLevel }) => (from > sleepLevel ? speed.coldMs : speed.wakeMs),
          (engine) => this.#up(engine),
        ),
      // Whether something runs on it or not: it stands still, and goes on after the wake.
      sleep: (id) => {
        this.#engine(id).model.freeze();
        this.#order(
          id,
          (engine) => this.#untilItMayLeaveMs(engine) + engine.speed.sleepMs,
          () => this.#scheduler.onAsleep(id, this.#clock.nowMs),
        );
      },
      stop: (id) => {
        this.#engine(id).generation += 1;
        this.#engine(id).model.freeze();
        this.#order(
          id,
          ({ speed }) => speed.sleepMs,
          () => this.#scheduler.onStopped(id, this.#clock.nowMs),
        );
      },
      grant: (lease) => {
        const request = this.#request(lease.waiter);
        request.lease = lease;
        this.#engine(lease.model).model.submit(request);
      },
      refuse: (waiter) => {
        this.#end(this.#request(waiter), "refused");
      },
      revoke: (lease) => {
        const request = this.#request(lease.waiter);
        this.#engine(lease.model).model.abort(request);
        this.#end(request, "aborted");
        // Not before this returns: that is the rule for effects.
        this.#clock.after(0, () => this.#release(request, "failed"));
      },
      alarmAt: (timeMs) => {
        if (this.#alarm !== null) this.#alarm.run = null;
        this.#alarm = timeMs === null ? null : this.#clock.at(timeMs, () => this.#scheduler.onAlarm(this.#clock.nowMs));
      },
      record: (entry) => this.#history.record(entry),
      finished: () => {},
    };
  }

  #order(id: ModelId, lasts: (engine: SimulatedEngine) => number, done: (engine: SimulatedEngine) => void): void {
    const engine = this.#engine(id);
    const { generation } = engine;
    this.#clock.after(lasts(engine), () => {
      if (engine.generation === generation) done(engine);
    });
  }

  #untilItMayLeaveMs({ awakeSinceMs }: SimulatedEngine): number {
    return Math.max(0, awakeSinceMs + (this.#plan.awakeAtLeastMs ?? 0) - this.#clock.nowMs);
  }

  #up(engine: SimulatedEngine): void {
    engine.awakeSinceMs = this.#clock.nowMs;
    engine.model.thaw();
    this.#scheduler.onAwake(engine.id, this.#clock.nowMs);
  }

  #end(request: Request, result: RequestOutcome["result"]): void {
    request.result = result;
    request.overAtMs = this.#clock.nowMs;
    this.#open -= 1;
  }

  #release(request: Request, outcome: "served" | "failed"): void {
    assert(request.lease !== null, "a request ends that was never let in");
    this.#scheduler.onReleased(request.lease.id, outcome, this.#clock.nowMs);
  }

  #request(waiter: WaiterId): Request {
    const request = this.#requests[waiter];
    assert(request !== undefined, `no request ${waiter}`);
    return request;
  }

  #engine(id: ModelId): SimulatedEngine {
    const engine = this.#engines.get(id);
    assert(engine !== undefined, `the engine of ${id} is needed, and its speed is not known`);
    return engine;
  }
}
