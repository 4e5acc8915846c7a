/** What the scheduler may ask of an engine, and when. */
import type { ModelId } from "../src/core/model.ts";
import type { LiveSleepLevel } from "../src/core/sleep-level.ts";
import { residueBytes, type SimulatedEngine } from "./engines.ts";
import { demand } from "./violation.ts";
import { isAway, isChanging, leasesOut, neighbours, type View } from "./view.ts";

const FIRST_BACKOFF_MS = 2000;
const BACKOFF_MAX_MS = 300_000;

/** Checked at every order, before the engine obeys. */
export class EngineRules {
  readonly #view: View;
  /** Failures in a row and when the next start is allowed, kept in parallel to the scheduler's own count. */
  readonly #failuresInRow = new Map<ModelId, number>();
  readonly #notBeforeMs = new Map<ModelId, number>();

  constructor(view: View) {
    this.#view = view;
  }

  onStart(engine: SimulatedEngine): void {
    demand(engine.phase === "off", "order fits the engine", () => `${engine.id} is started while ${engine.phase}`);
    this.#comesUp(engine);
  }

  onWake(engine: SimulatedEngine, from: LiveSleepLevel): void {
    const fits = engine.phase === "asleep" && engine.level === from;
    demand(fits, "order fits the engine", () => `${engine.id} is woken from level ${from} while ${engine.phase}`);
    this.#comesUp(engine);
  }

  onSleep(engine: SimulatedEngine, level: LiveSleepLevel, running: "none" | "kept"): void {
    demand(engine.phase === "up", "order fits the engine", () => `${engine.id} is put to sleep while ${engine.phase}`);
    if (running === "none") this.#isDrained(engine);
    else this.#mayStandStill(engine);
    this.#aloneInChange(engine);
    if (level === 1) this.#fitsInHost(engine);
  }

  onStop(engine: SimulatedEngine): void {
    const fits = engine.phase !== "off" && engine.phase !== "stopping";
    demand(fits, "order fits the engine", () => `${engine.id} is stopped while ${engine.phase}`);
    this.#isDrained(engine);
    if (!engine.cleaning && !isChanging(engine) && !this.#view.shuttingDown) this.#aloneInChange(engine);
  }

  /** A start, a wake, or the process has failed; told to the scheduler now. */
  failed(engine: SimulatedEngine, kind: "failed wake" | "crash"): FailureCount {
    const nowMs = this.#view.clock.nowMs;
    const before = { failures: this.#failuresInRow.get(engine.id), notBeforeMs: this.#notBeforeMs.get(engine.id) };
    const wasAsleep = engine.phase === "asleep" || engine.phase === "falling asleep";
    if (kind === "crash" && wasAsleep) return before;
    const failures = (this.#failuresInRow.get(engine.id) ?? 0) + 1;
    this.#failuresInRow.set(engine.id, failures);
    // The first restart after a crash is free.
    const doublings = kind === "crash" ? failures - 2 : failures - 1;
    const delayMs = doublings < 0 ? 0 : Math.min(FIRST_BACKOFF_MS * 2 ** doublings, BACKOFF_MAX_MS);
    this.#notBeforeMs.set(engine.id, nowMs + delayMs);
    return before;
  }

  /** It was no failure after all. */
  forget({ id }: SimulatedEngine, { failures, notBeforeMs }: FailureCount): void {
    if (failures === undefined) this.#failuresInRow.delete(id);
    else this.#failuresInRow.set(id, failures);
    if (notBeforeMs === undefined) this.#notBeforeMs.delete(id);
    else this.#notBeforeMs.set(id, notBeforeMs);
  }

  onServed(model: ModelId): void {
    this.#failuresInRow.delete(model);
  }

  #comesUp(engine: SimulatedEngine): void {
    const { id } = engine;
    demand(!this.#view.shuttingDown, "shutdown wakes nobody", () => `${id} comes up though all is being shut down`);
    this.#hasItsMemory(engine);
    const notBeforeMs = this.#notBeforeMs.get(id) ?? 0;
    const early = (): string => `${id} is tried again ${notBeforeMs - this.#view.clock.nowMs} ms early`;
    demand(this.#view.clock.nowMs >= notBeforeMs, "backoff", early);
  }

  /** Where memory is counted it must suffice; elsewhere it must be alone. */
  #hasItsMemory(engine: SimulatedEngine): void {
    const { id, model } = engine;
    engine.lacksMemory = false;
    const around = neighbours(this.#view, engine);
    for (const device of model.spec.devices) {
      const memoryBytes = this.#view.scenario.budgets?.devices.find((spec) => spec.id === device)?.memoryBytes ?? null;
      const there = around.filter((other) => other.model.spec.devices.includes(device));
      const upAll = [engine, ...there.filter((other) => !isAway(other))];
      const isCounted = memoryBytes !== null && upAll.every((other) => other.model.spec.needBytes !== undefined);
      if (!isCounted) {
        const [other] = upAll.slice(1);
        const who = (): string => `${id} comes up while ${other?.id} is ${other?.phase} there`;
        demand(other === undefined, "one model a device", who);
        continue;
      }
      const awakeBytes = sum(upAll.map((other) => other.model.spec.needBytes ?? 0));
      const asleepBytes = sum(there.filter(({ phase }) => phase === "asleep").map(residueBytes));
      const missing = awakeBytes + asleepBytes > memoryBytes;
      // What a sleeper leaves behind may be believed to be less than it is: when the switch began, it was not measured yet.
      const sinceMs = this.#view.outlook.switches.get(id)?.startedAtMs ?? 0;
      const wasUnknown = there.some(
        ({ phase, residueMeasuredAtMs }) => phase === "asleep" && (residueMeasuredAtMs ?? Infinity) >= sinceMs,
      );
      engine.lacksMemory ||= missing && wasUnknown;
      const over = (): string => `${id} comes up, and device ${device} lacks ${awakeBytes + asleepBytes - memoryBytes}`;
      demand(!missing || wasUnknown, "memory suffices", over);
    }
  }

  /** Those who are on their way there or back, or being stopped, hold it too. */
  #fitsInHost(engine: SimulatedEngine): void {
    const budgetBytes = this.#view.scenario.budgets?.hostMemoryBytes ?? null;
    if (budgetBytes === null) return;
    const holders = [...this.#view.engines.all()].filter((other) => other === engine || other.level === 1);
    const bytes = sum(holders.map(({ model }) => model.spec.hostBytes ?? 0));
    const names = (): string => `${holders.map(({ id }) => id).join(", ")} take ${bytes} of ${budgetBytes} of the host`;
    demand(bytes <= budgetBytes, "memory suffices", names);
  }

  /** Only an engine that can do it, and only when the time of the drain is over. */
  #mayStandStill({ id, model }: SimulatedEngine): void {
    const { scenario, outlook, clock } = this.#view;
    demand(model.spec.canSuspend === true, "put away only when drained", () => `${id} cannot keep what runs`);
    const budgetMs = scenario.budgets?.drainBudgetMs ?? null;
    const spent = budgetMs !== null && clock.nowMs >= (outlook.drains.get(id)?.sinceMs ?? 0) + budgetMs;
    demand(spent, "put away only when drained", () => `${id} keeps what runs before its time is over`);
  }

  #isDrained(engine: SimulatedEngine): void {
    // What stands still in a sleeping engine has been told of its end before that is stopped.
    const out = leasesOut(this.#view, engine.id, engine.phase !== "up");
    demand(out === 0, "put away only when drained", () => `${engine.id} is put away with ${out} leases out`);
  }

  #aloneInChange(engine: SimulatedEngine): void {
    for (const other of neighbours(this.#view, engine)) {
      const alone =
        !isChanging(other) || (other.cleaning && (other.phase === "stopping" || other.phase === "left behind"));
      demand(alone, "one transition a device", () => `${engine.id} changes while ${other.id} is ${other.phase} there`);
    }
  }
}

/** What was counted before a failure. */
interface FailureCount {
  readonly failures: number | undefined;
  readonly notBeforeMs: number | undefined;
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
