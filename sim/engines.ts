/** The simulated engines: they do as they are told, take their time about it, fail and die as the scenario has it. */
import { assert } from "../src/base/assert.ts";
import { failure, type Failure } from "../src/base/failure.ts";
import { RESIDUE_PRIOR_BYTES } from "../src/core/memory.ts";
import type { ModelId } from "../src/core/model.ts";
import type { LiveSleepLevel } from "../src/core/sleep-level.ts";
import { fractionOf } from "../src/simulation/random.ts";
import {
  JITTER,
  type CrashState,
  type EngineOrder,
  type Fault,
  type Scenario,
  type SimulatedModel,
} from "./scenario.ts";
import type { VirtualClock } from "../src/simulation/virtual-clock.ts";

/** What an engine does as far as the scheduler can know; "left behind": a stop has failed. */
export type EnginePhase =
  | "off"
  | "starting"
  | "up"
  | "falling asleep"
  | "asleep"
  | "waking"
  | "stopping"
  | "left behind";

/** One engine, as seen from outside the scheduler. */
export interface SimulatedEngine {
  readonly model: SimulatedModel;
  readonly id: ModelId;
  phase: EnginePhase;
  level: LiveSleepLevel | null;
  upSinceMs: number;
  /** False from the death of the process until it is started again. */
  alive: boolean;
  /** Too little memory is there for the start or the wake that is under way. */
  lacksMemory: boolean;
  /** When what it leaves behind while it sleeps was measured, and the scheduler told; null: not yet. */
  residueMeasuredAtMs: number | null;
  /** The stop under way cleans up after a failure: it may overlap with what others do on the device. */
  cleaning: boolean;
  /** How many lives of this engine have ended in a crash that the scheduler was told of. */
  crashes: number;
  /** Answers to orders of an earlier generation are void. */
  generation: number;
  readonly ordered: Record<EngineOrder, number>;
}

/** Where the engines report to. */
export interface EngineReports {
  onAwake(engine: SimulatedEngine): void;
  onWakeFailed(engine: SimulatedEngine, reason: Failure): void;
  onAsleep(engine: SimulatedEngine): void;
  onResidueMeasured(engine: SimulatedEngine): void;
  onSleepFailed(engine: SimulatedEngine, reason: Failure): void;
  onStopped(engine: SimulatedEngine): void;
  onStopFailed(engine: SimulatedEngine, reason: Failure): void;
  /** The process has died; the scheduler does not know yet. */
  onDied(engine: SimulatedEngine): void;
  onCrashed(engine: SimulatedEngine, reason: Failure): void;
}

/** What a sleeper leaves behind is measured so long after it fell asleep, in ms. */
const MEASURED_AFTER_MS = 700;

/** What it really leaves behind on each device, in bytes. */
export function residueBytes({ model }: SimulatedEngine): number {
  return model.residueBytes ?? Math.min(RESIDUE_PRIOR_BYTES, model.spec.needBytes ?? RESIDUE_PRIOR_BYTES);
}

/** All engines of a scenario. No report comes before the order that caused it has returned. */
export class SimulatedEngines {
  readonly #engines = new Map<ModelId, SimulatedEngine>();
  readonly #faults = new Map<string, Fault>();
  readonly #entered = new Map<string, number>();
  readonly #clock: VirtualClock;
  readonly #seed: number;
  readonly #reports: EngineReports;

  constructor(scenario: Scenario, clock: VirtualClock, reports: EngineReports) {
    this.#clock = clock;
    this.#seed = scenario.seed;
    this.#reports = reports;
    for (const model of scenario.models) this.#engines.set(model.spec.id, newEngine(model));
    for (const fault of scenario.faults) {
      const at = fault.kind === "crash" ? fault.during : `${fault.kind} ${fault.order}`;
      this.#faults.set(`${fault.model} ${at} ${fault.nth}`, fault);
    }
  }

  get(id: ModelId): SimulatedEngine {
    const engine = this.#engines.get(id);
    assert(engine !== undefined, `no simulated engine ${id}`);
    return engine;
  }

  all(): IterableIterator<SimulatedEngine> {
    return this.#engines.values();
  }

  start(id: ModelId): void {
    const engine = this.get(id);
    engine.alive = true;
    this.#order(engine, "start", "starting", () => this.#up(engine));
  }

  wake(id: ModelId): void {
    const engine = this.get(id);
    this.#order(engine, "wake", "waking", () => this.#up(engine));
  }

  sleep(id: ModelId, level: LiveSleepLevel): void {
    const engine = this.get(id);
    engine.level = level;
    this.#order(engine, "sleep", "falling asleep", () => {
      engine.phase = "asleep";
      this.#measureSoon(engine);
      this.#reports.onAsleep(engine);
    });
  }

  stop(id: ModelId): void {
    const engine = this.get(id);
    engine.generation += 1;
    this.#order(engine, "stop", "stopping", () => {
      engine.phase = "off";
      engine.level = null;
      engine.alive = false;
      this.#reports.onStopped(engine);
    });
  }

  /** The scheduler says that the engine is in this state now: the scenario may have it die there. */
  entered(id: ModelId, state: CrashState): void {
    const key = `${id} ${state}`;
    const nth = (this.#entered.get(key) ?? 0) + 1;
    this.#entered.set(key, nth);
    const fault = this.#faults.get(`${key} ${nth}`);
    if (fault?.kind !== "crash") return;
    const engine = this.get(id);
    const { generation } = engine;
    this.#clock.after(fault.afterMs, () => {
      if (engine.generation === generation) this.#die(engine, fault.noticeMs);
    });
  }

  #order(engine: SimulatedEngine, order: EngineOrder, phase: EnginePhase, succeed: () => void): void {
    engine.phase = phase;
    engine.ordered[order] += 1;
    const nth = engine.ordered[order];
    const { generation } = engine;
    this.#clock.after(this.#durationMs(engine, order, nth), () => {
      if (engine.generation !== generation) return;
      // A dead process answers nothing; only what is left of it can be cleaned up.
      if (!engine.alive && order !== "stop") return;
      const isToLack = this.#faults.has(`${engine.id} lacks memory ${order} ${nth}`);
      if (isToLack || (engine.lacksMemory && (order === "start" || order === "wake")))
        this.#lackedMemory(engine, order);
      else if (this.#faults.has(`${engine.id} fails ${order} ${nth}`)) this.#failed(engine, order);
      else succeed();
    });
  }

  /** A moment after it fell asleep, if it still sleeps then. */
  #measureSoon(engine: SimulatedEngine): void {
    const { generation } = engine;
    this.#clock.after(MEASURED_AFTER_MS, () => {
      if (engine.generation !== generation || engine.phase !== "asleep" || engine.residueMeasuredAtMs !== null) return;
      engine.residueMeasuredAtMs = this.#clock.nowMs;
      this.#reports.onResidueMeasured(engine);
    });
  }

  /** A process that found no memory ends, one that was asleep sleeps on. */
  #lackedMemory(engine: SimulatedEngine, order: EngineOrder): void {
    if (order === "wake") engine.phase = "asleep";
    this.#reports.onWakeFailed(engine, failure("out_of_memory", "there was to be too little memory"));
  }

  #failed(engine: SimulatedEngine, order: EngineOrder): void {
    switch (order) {
      case "start":
        return this.#reports.onWakeFailed(engine, failure("start_failed", "it was to fail its start"));
      case "wake":
        return this.#reports.onWakeFailed(engine, failure("wake_failed", "it was to fail its wake"));
      case "sleep":
        return this.#reports.onSleepFailed(engine, failure("sleep_failed", "it was to fail its sleep"));
      case "stop":
        engine.phase = "left behind";
        return this.#reports.onStopFailed(engine, failure("stop_failed", "it was to fail its stop"));
    }
  }

  #up(engine: SimulatedEngine): void {
    engine.phase = "up";
    engine.level = null;
    engine.upSinceMs = this.#clock.nowMs;
    this.#reports.onAwake(engine);
  }

  #die(engine: SimulatedEngine, noticeMs: number): void {
    if (!engine.alive) return;
    engine.alive = false;
    this.#reports.onDied(engine);
    const { generation } = engine;
    this.#clock.after(noticeMs, () => {
      if (engine.generation !== generation) return;
      engine.crashes += 1;
      this.#reports.onCrashed(engine, failure("engine_crashed", "its process was to die"));
    });
  }

  /** Depends on the engine, the order and its number alone, so that a smaller scenario keeps its durations. */
  #durationMs(engine: SimulatedEngine, order: EngineOrder, nth: number): number {
    const fraction = fractionOf(this.#seed, engine.id.charCodeAt(0), order.charCodeAt(2), nth);
    const jitter = 1 + JITTER * (2 * fraction - 1);
    const slow = this.#faults.get(`${engine.id} slow ${order} ${nth}`);
    const factor = slow?.kind === "slow" ? slow.factor : 1;
    return Math.round(engine.model.usualMs[order] * jitter * factor);
  }
}

function newEngine(model: SimulatedModel): SimulatedEngine {
  return {
    model,
    id: model.spec.id,
    phase: "off",
    level: null,
    upSinceMs: 0,
    alive: false,
    lacksMemory: false,
    residueMeasuredAtMs: null,
    cleaning: false,
    crashes: 0,
    generation: 0,
    ordered: { start: 0, wake: 0, sleep: 0, stop: 0 },
  };
}
