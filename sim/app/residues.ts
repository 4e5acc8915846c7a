/**
 * What llmux can know of the memory that sleepers leave behind on their GPUs. It believes something of it until it is measured,
 * and who is only believed to leave too much does not lose its process for that: then a wake may find too little.
 */
import type { VirtualClock } from "../../src/simulation/virtual-clock.ts";
import type { SimulatedEngine } from "./engine.ts";
import type { AppSettings } from "./scenario.ts";

/** llmux measures a sleeper a second after it has fallen asleep, and asks the GPUs a few times for that; in ms. */
const MEASURED_AFTER_MS = 1_500;

/** Over all lives of the engines, and one of llmux after the other. */
export class Residues {
  readonly #clock: VirtualClock;
  readonly #settings: Pick<AppSettings, "hasProbe" | "timerLagMs">;
  readonly #living: () => readonly SimulatedEngine[];
  /** Which life of llmux this is. */
  #life = 0;
  /** Which sleep of an engine this is. */
  readonly #sleeps = new WeakMap<SimulatedEngine, number>();
  /** By model: since when what it leaves behind is known. */
  readonly #knownSinceMs = new Map<string, number>();
  /** By model: when the last switch to it began. */
  readonly #switchedAtMs = new Map<string, number>();

  constructor(clock: VirtualClock, settings: AppSettings, living: () => readonly SimulatedEngine[]) {
    this.#clock = clock;
    this.#settings = settings;
    this.#living = living;
  }

  /** Another llmux begins, and knows nothing of what was. */
  onNewLife(): void {
    this.#life += 1;
    this.#knownSinceMs.clear();
    this.#switchedAtMs.clear();
  }

  /** llmux decides who must leave for this model. */
  onSwitch(model: string): void {
    this.#switchedAtMs.set(model, this.#clock.nowMs);
  }

  onAsleep(engine: SimulatedEngine): void {
    // Without a probe an engine's own words count, and only where it is alone; they are rounded, so they are not relied on here.
    if (!this.#settings.hasProbe) return;
    const life = this.#life;
    const sleep = (this.#sleeps.get(engine) ?? 0) + 1;
    this.#sleeps.set(engine, sleep);
    this.#clock.after(MEASURED_AFTER_MS + this.#settings.timerLagMs, () => {
      const sleepsOn = isAsleep(engine) && this.#sleeps.get(engine) === sleep && this.#life === life;
      if (sleepsOn && !this.#knownSinceMs.has(engine.name)) this.#knownSinceMs.set(engine.name, this.#clock.nowMs);
    });
  }

  /** How much other sleepers hold of this GPU of which nothing was known when the last switch to `model` began. */
  unknownBytes(model: string, gpu: string): number {
    const sinceMs = this.#switchedAtMs.get(model) ?? 0;
    let bytes = 0;
    for (const engine of this.#living()) {
      const { start, name } = engine;
      const wasKnown = (this.#knownSinceMs.get(name) ?? Infinity) <= sinceMs;
      if (name !== model && isAsleep(engine) && start.gpus.includes(gpu) && !wasKnown) {
        bytes += start.model.residueBytes;
      }
    }
    return bytes;
  }
}

function isAsleep({ sleepMode, change, isGone }: SimulatedEngine): boolean {
  return !isGone && change === null && sleepMode.level !== 0;
}
