/** Puts a scheduler into a simulated world: its effects move engines and clients, what those do comes back as events. */
import type { Failure } from "../src/base/failure.ts";
import type { Effects } from "../src/core/effects.ts";
import type { JournalEntry } from "../src/core/journal.ts";
import type { Scheduler } from "../src/core/scheduler.ts";
import { Clients, type ClientDeeds } from "./clients.ts";
import { EngineRules } from "./engine-rules.ts";
import { residueBytes, SimulatedEngines, type EngineReports, type SimulatedEngine } from "./engines.ts";
import { Outlook } from "./outlook.ts";
import { ProgressRules } from "./progress-rules.ts";
import { RequestRules } from "./request-rules.ts";
import type { Scenario } from "./scenario.ts";
import { ShutdownRules } from "./shutdown-rules.ts";
import type { Trace } from "./trace.ts";
import type { View } from "./view.ts";
import { VirtualClock, type Scheduled } from "../src/simulation/virtual-clock.ts";

/** The scheduler's events, as the world sends them; a mutation may stand in between. */
export type SchedulerEvents = Pick<
  Scheduler,
  | "onStarted"
  | "onRequest"
  | "onAbandoned"
  | "onReleased"
  | "onAwake"
  | "onWakeFailed"
  | "onAsleep"
  | "onSleepFailed"
  | "onStopped"
  | "onStopFailed"
  | "onCrashed"
  | "onMemoryMeasured"
  | "onOperator"
  | "onAlarm"
  | "onShutdown"
>;

/** Everything outside the scheduler. Its rules are checked at each effect and, by `afterEvent`, after each event. */
export class World implements View {
  readonly scenario: Scenario;
  readonly clock: VirtualClock;
  readonly engines: SimulatedEngines;
  readonly clients: Clients;
  readonly outlook: Outlook;
  readonly effects: Effects;
  alarmAtMs: number | null = null;
  shutdownAtMs: number | null = null;
  readonly #trace: Trace;
  readonly #engineRules: EngineRules;
  readonly #requestRules: RequestRules;
  readonly #progressRules: ProgressRules;
  readonly #shutdownRules: ShutdownRules;
  #scheduler: SchedulerEvents | null = null;
  #alarm: Scheduled | null = null;

  constructor(scenario: Scenario, trace: Trace) {
    this.scenario = scenario;
    this.#trace = trace;
    this.clock = new VirtualClock(scenario.seed);
    this.engines = new SimulatedEngines(scenario, this.clock, this.#reports());
    this.clients = new Clients(this.clock, this.#deeds());
    this.outlook = new Outlook(scenario.models.map(({ spec }) => spec.id));
    this.effects = this.#makeEffects();
    this.#engineRules = new EngineRules(this);
    this.#requestRules = new RequestRules(this);
    this.#progressRules = new ProgressRules(this);
    this.#shutdownRules = new ShutdownRules(this);
  }

  /** Plans everything that the scenario has. */
  begin(scheduler: SchedulerEvents): void {
    this.#scheduler = scheduler;
    scheduler.onStarted(this.clock.nowMs);
    const { requests, commands, needlessAlarmsAtMs, shutdown } = this.scenario;
    for (const plan of requests) this.clock.at(plan.atMs, () => this.clients.arrive(plan));
    for (const { atMs, model, command } of commands) {
      this.clock.at(atMs, () => {
        this.#note(`operator: ${command}`, model);
        this.#events.onOperator(model, command, this.clock.nowMs);
      });
    }
    for (const atMs of needlessAlarmsAtMs) this.clock.at(atMs, () => this.#ring());
    if (shutdown.atMs !== null) this.clock.at(shutdown.atMs, () => this.shutDown());
  }

  shutDown(): void {
    this.#note("shutdown", "");
    this.shutdownAtMs = this.clock.nowMs;
    this.#events.onShutdown(this.scenario.shutdown.timeoutMs, this.clock.nowMs);
  }

  afterEvent(): void {
    this.#requestRules.afterEvent();
    this.#progressRules.afterEvent();
    this.#shutdownRules.afterEvent();
  }

  /** When nothing more will happen before the shutdown. */
  whenQuiet(): void {
    this.#progressRules.whenQuiet();
  }

  /** When nothing more will happen after it. */
  atEnd(): void {
    this.#shutdownRules.atEnd();
    this.#requestRules.atEnd();
  }

  get shuttingDown(): boolean {
    return this.shutdownAtMs !== null;
  }

  get #events(): SchedulerEvents {
    if (this.#scheduler === null) throw new Error("the world has not begun");
    return this.#scheduler;
  }

  #note(what: string, model: string, id = 0): void {
    this.#trace.note(this.clock.nowMs, what, model, id);
  }

  #ring(): void {
    this.#note("alarm", "");
    this.#setAlarm(null);
    this.#events.onAlarm(this.clock.nowMs);
  }

  #setAlarm(timeMs: number | null): void {
    if (this.#alarm !== null) this.#alarm.run = null;
    this.alarmAtMs = timeMs;
    this.#alarm = timeMs === null ? null : this.clock.at(timeMs + this.scenario.alarmLagMs, () => this.#ring());
  }

  #makeEffects(): Effects {
    return {
      start: (model) => {
        this.#note("→ start", model);
        const engine = this.engines.get(model);
        this.#engineRules.onStart(engine);
        engine.cleaning = false;
        this.engines.start(model);
      },
      wake: (model, from) => {
        this.#note("→ wake", model, from);
        this.#engineRules.onWake(this.engines.get(model), from);
        this.engines.wake(model);
      },
      sleep: (model, level, running) => {
        this.#note(running === "kept" ? "→ sleep, with what runs" : "→ sleep", model, level);
        this.#engineRules.onSleep(this.engines.get(model), level, running);
        if (running === "kept") this.clients.freeze(model);
        this.engines.sleep(model, level);
      },
      stop: (model) => {
        this.#note("→ stop", model);
        this.#engineRules.onStop(this.engines.get(model));
        this.engines.stop(model);
      },
      grant: (lease) => {
        this.#note("→ grant", lease.model, lease.waiter);
        const request = this.#requestRules.onGrant(lease);
        const engine = this.engines.get(lease.model);
        this.clients.granted(request, lease, engine);
        // Whoever is sent to a dead engine finds out at once.
        if (!engine.alive) this.clients.broken(lease.model);
      },
      refuse: (waiter, failure) => {
        this.#note(`→ refuse (${failure.code})`, "", waiter);
        this.clients.refused(this.#requestRules.onRefuse(waiter, failure));
      },
      revoke: (lease, failure) => {
        this.#note(`→ revoke (${failure.code})`, lease.model, lease.waiter);
        this.clients.revoked(this.#requestRules.onRevoke(lease, failure));
      },
      alarmAt: (timeMs) => this.#setAlarm(timeMs),
      record: (entry) => this.#onRecord(entry),
      finished: () => {
        this.#note("→ finished", "");
        this.#shutdownRules.onFinished();
      },
    };
  }

  #onRecord(entry: JournalEntry): void {
    if (entry.kind === "switch started") this.#progressRules.onSwitchStarted(entry.to, entry.from, entry.because);
    this.outlook.read(entry);
    if (entry.kind !== "state changed") return;
    const state = entry.to.kind;
    if (state !== "stopped" && state !== "stopping" && state !== "failed") this.engines.entered(entry.model, state);
  }

  #reports(): EngineReports {
    const tell = (what: string, engine: SimulatedEngine): number => {
      this.#note(what, engine.id);
      return this.clock.nowMs;
    };
    return {
      onAwake: (engine) => {
        this.clients.thaw(engine.id);
        this.#events.onAwake(engine.id, tell("awake", engine));
      },
      onWakeFailed: (engine, reason) => {
        const nowMs = tell("wake failed", engine);
        const retried = this.outlook.retried;
        engine.cleaning = true;
        // A wake that is retried is no failure yet: whether it is, the scheduler says while it hears of it.
        const failedBefore = this.#engineRules.failed(engine, "failed wake");
        this.#events.onWakeFailed(engine.id, reason, nowMs);
        if (this.outlook.retried === retried) this.#progressRules.onFailedWake(engine.id);
        else {
          this.#engineRules.forget(engine, failedBefore);
          engine.cleaning = false;
        }
      },
      onAsleep: (engine) => this.#events.onAsleep(engine.id, tell("asleep", engine)),
      onResidueMeasured: (engine) => {
        const nowMs = tell("measured", engine);
        this.#events.onMemoryMeasured(engine.id, { residueBytes: residueBytes(engine) }, nowMs);
      },
      onSleepFailed: (engine, reason) => this.#events.onSleepFailed(engine.id, reason, tell("sleep failed", engine)),
      onStopped: (engine) => {
        this.#shutdownRules.onStopped(engine.id);
        this.#events.onStopped(engine.id, tell("stopped", engine));
      },
      onStopFailed: (engine, reason) => {
        this.#shutdownRules.onStopFailed(engine.id);
        this.#events.onStopFailed(engine.id, reason, tell("stop failed", engine));
      },
      onDied: (engine) => {
        this.#note("died", engine.id);
        this.clients.broken(engine.id);
      },
      onCrashed: (engine, reason: Failure) => {
        const nowMs = tell("crashed", engine);
        this.#told(engine, "crash");
        this.#events.onCrashed(engine.id, reason, nowMs);
      },
    };
  }

  #told(engine: SimulatedEngine, kind: "failed wake" | "crash"): void {
    this.#engineRules.failed(engine, kind);
    engine.cleaning = true;
  }

  #deeds(): ClientDeeds {
    return {
      arrive: ({ plan }) => {
        this.#note("request", plan.model, plan.id);
        this.#events.onRequest(plan.id, plan.model, this.clock.nowMs, plan.priority);
      },
      abandon: ({ plan }) => {
        this.#note("client gone", plan.model, plan.id);
        this.#events.onAbandoned(plan.id, this.clock.nowMs);
      },
      release: (lease, outcome, { plan, crashesBefore }) => {
        this.#note(`released (${outcome})`, plan.model, plan.id);
        const isVoid = crashesBefore !== this.engines.get(plan.model).crashes;
        if (outcome === "served" && !isVoid) this.#engineRules.onServed(plan.model);
        this.#events.onReleased(lease, outcome, this.clock.nowMs);
      },
    };
  }
}
