/** What must go on: nothing that could happen may be forgotten. Checked after every event. */
import type { ModelId } from "../src/core/model.ts";
import type { SimulatedEngine } from "./engines.ts";
import { demand } from "./violation.ts";
import { PRELOAD_REASON } from "./outlook.ts";
import { isAway, isChanging, leasesOut, neighbours, overlap, type View } from "./view.ts";

/** Finds drains that do not end, gates that stay closed, and switches that could begin and do not. */
export class ProgressRules {
  readonly #view: View;

  constructor(view: View) {
    this.#view = view;
  }

  afterEvent(): void {
    this.#awakeLetsIn();
    this.#drainsEnd();
    this.#switchesAreWanted();
    if (this.#view.clients.waiting.size > 0 && !this.#view.shuttingDown) this.#somethingBegins();
  }

  /** When no event is left: nobody may be left over. */
  whenQuiet(): void {
    const [waiter] = this.#view.clients.waiting;
    demand(waiter === undefined, "no stall", () => `#${waiter?.plan.id} waits for ${waiter?.plan.model} for ever`);
    for (const { id } of this.#view.engines.all()) {
      const left = this.#view.clients.running(id).size;
      demand(left === 0, "no stall", () => `${left} requests stand still on ${id} for ever`);
    }
    for (const engine of this.#view.engines.all()) {
      const state = this.#view.outlook.states.get(engine.id);
      const settled = !isChanging(engine) && state !== "draining";
      demand(settled, "no stall", () => `${engine.id} is ${state} for ever`);
    }
  }

  onFailedWake(model: ModelId): void {
    const left = this.#view.clients.waitingFor(model).size;
    demand(left === 0, "failed wake turns away", () => `${left} still wait for ${model} though its wake has failed`);
  }

  /** Before it is counted among the switches under way. */
  onSwitchStarted(target: ModelId, victims: readonly ModelId[], because: string): void {
    const { scenario, clock, engines } = this.#view;
    const free =
      scenario.budgets === null
        ? this.#isFree(engines.get(target))
        : [target, ...victims].every((id) => !this.#isBusy(engines.get(id)));
    demand(free, "one transition a device", () => `a switch to ${target} starts while others change on its devices`);
    // Bounded wait lets a model stay for as long as its switch is worth, which can be less.
    if (scenario.policy === "bounded wait" || because === PRELOAD_REASON) return;
    for (const id of victims) {
      const stayMs = clock.nowMs - engines.get(id).upSinceMs;
      demand(stayMs >= scenario.minActiveMs, "minimum stay", () => `${id} must leave after ${stayMs} ms`);
    }
  }

  #awakeLetsIn(): void {
    const { outlook, clients } = this.#view;
    for (const [id, state] of outlook.states) {
      const isFull = leasesOut(this.#view, id) >= (this.#view.engines.get(id).model.spec.inFlightMax ?? Infinity);
      const shut = state === "awake" && !isFull ? clients.waitingFor(id).size : 0;
      demand(shut === 0, "awake lets in", () => `${shut} wait for ${id} though it is awake`);
    }
  }

  #drainsEnd(): void {
    const { outlook } = this.#view;
    for (const [id, state] of outlook.states) {
      if (state !== "draining" || leasesOut(this.#view, id) > 0) continue;
      const change = [...outlook.switches.values()].find(({ from, extra }) => from.includes(id) || extra === id);
      const others = change !== undefined && change.from.some((victim) => leasesOut(this.#view, victim) > 0);
      // Those who leave one device go one after another, and after those who are stopped for them.
      const inTurn = change?.drained === true && [...this.#view.engines.all()].some(isChanging);
      demand(others || inTurn, "drain ends", () => `${id} has no lease out and drains on`);
    }
  }

  /** Only a start or a wake that is under way goes on without anybody who waits for it. */
  #switchesAreWanted(): void {
    const { outlook, clients } = this.#view;
    for (const { to, isPreload } of outlook.switches.values()) {
      const state = outlook.states.get(to);
      const isKept = leasesOut(this.#view, to) > 0;
      const wanted =
        isPreload || isKept || clients.waitingFor(to).size > 0 || state === "starting" || state === "waking";
      demand(wanted, "no switch for nobody", () => `the switch to ${to} goes on, and nobody waits for it`);
    }
  }

  /** fifo once more, from outside: of all that wait, the oldest that can go must have gone, or have an alarm set. */
  #somethingBegins(): void {
    const { scenario, engines, clients, outlook } = this.#view;
    // With budgets it takes a placement to know who could come up.
    if (scenario.policy !== "fifo" || scenario.budgets !== null) return;
    const candidates: Candidate[] = [];
    for (const engine of engines.all()) {
      const [oldest] = clients.waitingFor(engine.id);
      if (oldest === undefined || outlook.switches.has(engine.id)) continue;
      candidates.push({ engine, oldestAtMs: oldest.plan.atMs });
    }
    for (const candidate of candidates) {
      const { engine } = candidate;
      if (!this.#isFree(engine) || candidates.some((other) => comesBefore(other, candidate))) continue;
      const victims = neighbours(this.#view, engine).filter(({ phase }) => phase === "up");
      const readyAtMs = Math.max(0, ...victims.map(({ upSinceMs }) => upSinceMs + scenario.minActiveMs));
      const idle = (): string => `${engine.id} can come up at ${readyAtMs} ms, but nothing happens and no alarm is set`;
      demand(this.#alarmIsSetBy(readyAtMs), "no lost wake-up", idle);
    }
  }

  #alarmIsSetBy(timeMs: number): boolean {
    const { alarmAtMs } = this.#view;
    return alarmAtMs !== null && alarmAtMs <= timeMs;
  }

  /** True when a switch to this model could begin, but for the minimum stay of those who must leave. */
  #isFree(engine: SimulatedEngine): boolean {
    if (!isAway(engine) || this.#isBusy(engine)) return false;
    for (const other of neighbours(this.#view, engine)) {
      if (other.phase !== "up") continue;
      if (this.#view.outlook.states.get(other.id) !== "awake" || this.#isBusy(other)) return false;
    }
    return true;
  }

  /** True when something is under way on a device of this engine. */
  #isBusy(engine: SimulatedEngine): boolean {
    const { devices } = engine.model.spec;
    for (const { from, to } of this.#view.outlook.switches.values()) {
      for (const id of [to, ...from]) if (overlap(this.#view.engines.get(id).model.spec.devices, devices)) return true;
    }
    return isChanging(engine) || neighbours(this.#view, engine).some(isChanging);
  }
}

interface Candidate {
  readonly engine: SimulatedEngine;
  readonly oldestAtMs: number;
}

/** True when `other` may keep `candidate` from their devices. Of two that came at the same time either one may. */
function comesBefore(other: Candidate, candidate: Candidate): boolean {
  if (other === candidate || other.oldestAtMs > candidate.oldestAtMs) return false;
  return overlap(other.engine.model.spec.devices, candidate.engine.model.spec.devices);
}
