/** What may change on a GPU, and when. */
import type { VirtualClock } from "../../src/simulation/virtual-clock.ts";
import type { EngineChange, SimulatedEngine } from "./engine.ts";
import type { Referee } from "./referee.ts";

/** A process that is being started when the end begins is there all the same; it is ended then. */
const UNDER_WAY_MS = 10;

/** Checked where an engine begins to change. */
export class EngineRules {
  /** When the end of all began: then everything may end at once, and nothing comes up. Null before. */
  endBeganAtMs: number | null = null;
  /** Set while a new llmux ends what the last one has left: all at once. */
  isClearing = false;
  readonly #clock: VirtualClock;
  readonly #living: () => readonly SimulatedEngine[];
  readonly #referee: Referee;

  constructor(clock: VirtualClock, living: () => readonly SimulatedEngine[], referee: Referee) {
    this.#clock = clock;
    this.#living = living;
    this.#referee = referee;
  }

  /**
   * Rule "one transition a device": while an engine starts, falls asleep or wakes, no other one on its GPUs does, and none is
   * ended there. Rule "the end wakes nobody": once llmux ends, nothing starts or wakes.
   */
  onChangeBegins(engine: SimulatedEngine, change: EngineChange): void {
    const sinceEndMs = this.endBeganAtMs === null ? -Infinity : this.#clock.nowMs - this.endBeganAtMs;
    if (sinceEndMs >= 0 && sinceEndMs <= UNDER_WAY_MS) return;
    this.#demandAlone(engine, change);
    const comesUp = change === "starting" || change === "waking";
    const isLate = sinceEndMs > 0;
    this.#referee.demand(
      !(comesUp && isLate),
      "the end wakes nobody",
      () => `${engine.name} is ${change} though all is being ended`,
    );
  }

  /**
   * Rule "host memory is never over-committed": what the sleepers at level 1 take of the host, as far as llmux was told, is never
   * more than they may.
   */
  onAsleep(hostMemoryBytes: number | null): void {
    if (hostMemoryBytes === null) return;
    let bytes = 0;
    for (const engine of this.#living()) {
      const { hostBytes, tellsNeed } = engine.start.model;
      if (tellsNeed && engine.isOnHost && !engine.hasFailed) bytes += hostBytes;
    }
    const message = (): string => `sleepers take ${bytes} bytes of the host, and may take ${hostMemoryBytes}`;
    this.#referee.demand(bytes <= hostMemoryBytes, "host memory is never over-committed", message);
  }

  /** An engine that failed may be ended at any time: it cannot be left as it is. */
  onEndBegins(engine: SimulatedEngine): void {
    if (this.endBeganAtMs !== null || this.isClearing || engine.hasFailed || engine.change !== null) return;
    this.#demandAlone(engine, "ending");
  }

  #demandAlone(engine: SimulatedEngine, change: EngineChange): void {
    const comesUp = change === "starting" || change === "waking";
    for (const other of this.#living()) {
      const isElsewhere = !other.start.gpus.some((gpu) => engine.start.gpus.includes(gpu));
      if (other === engine || isElsewhere || other.change === null) continue;
      // The remains of one that has failed are cleared away whatever else happens; only nothing may come up beside them.
      const isClearing = other.hasFailed && (other.change === "ending" || other.change === "left behind");
      this.#referee.demand(
        isClearing && !comesUp,
        "one transition a device",
        () => `${engine.name} is ${change} while ${other.name} is ${other.change} on the same GPU`,
      );
    }
  }
}
