/** The host's memory that sleepers at level 1 may take: who fits, and who goes deeper instead. */
import type { Engines, ModelRecord } from "./engines.ts";
import type { SleeperCredits } from "./sleeper-credit.ts";
import type { SleepLevel } from "./sleep-level.ts";
import type { SwitchCosts } from "./switch-cost.ts";

interface Parts {
  readonly engines: Engines;
  readonly costs: SwitchCosts;
  readonly credits: SleeperCredits;
  /** In bytes; null: not limited. */
  readonly budgetBytes: number | null;
}

/** How deep one model goes to sleep, and whose processes must end for it. */
export interface Bed {
  readonly level: SleepLevel;
  readonly stops: readonly ModelRecord[];
}

/** Counts what sleepers take, and those who are on their way to or from level 1. */
export class HostMemory {
  readonly #parts: Parts;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  get budgetBytes(): number | null {
    return this.#parts.budgetBytes;
  }

  /** What level-1 sleepers take, in bytes; one of whom it is not known counts as nothing. */
  usedBytes(): number {
    return heldBytes(this.#parts.engines.all());
  }

  /**
   * Where `record` can sleep: at its own level, or deeper if that is 1 and it does not fit. Others who sleep at level 1 make room
   * for it if their credit is lower; `mayStop` says who can be stopped now. Those in `leaving` will be gone by then anyway.
   */
  bedFor(record: ModelRecord, mayStop: (sleeper: ModelRecord) => boolean, leaving: readonly ModelRecord[] = []): Bed {
    const { sleepLevel } = record.spec;
    const { budgetBytes, engines, credits } = this.#parts;
    const bytes = record.memory.hostBytes ?? 0;
    if (sleepLevel !== 1 || budgetBytes === null) return { level: sleepLevel, stops: [] };
    let missing = this.usedBytes() - heldBytes(leaving) + bytes - budgetBytes;
    if (missing <= 0) return { level: 1, stops: [] };
    const stops: ModelRecord[] = [];
    if (bytes <= budgetBytes) {
      const credit = credits.of(this.#savedMs(record, 1), bytes);
      const sleepers = [...engines.all()].filter((other) => other !== record && canMakeRoom(other) && mayStop(other));
      for (const sleeper of sleepers.toSorted((a, b) => a.credit - b.credit)) {
        if (sleeper.credit >= credit) break;
        stops.push(sleeper);
        missing -= sleeper.memory.hostBytes ?? 0;
        if (missing <= 0) return { level: 1, stops };
      }
    }
    return { level: 2, stops: [] };
  }

  /** To be called when a model has fallen asleep. */
  onAsleep(record: ModelRecord): void {
    const { state, memory } = record;
    if (state.kind !== "asleep") return;
    const bytes = (state.level === 1 ? (memory.hostBytes ?? 0) : 0) + memory.residueBytes;
    record.credit = this.#parts.credits.of(this.#savedMs(record, state.level), bytes);
  }

  /** To be called when a sleeper is stopped to make room. */
  onGivenUp(sleeper: ModelRecord): void {
    this.#parts.credits.gone(sleeper);
  }

  /** How much sooner it is awake from this level than from a start. */
  #savedMs({ spec }: ModelRecord, level: 1 | 2): number {
    const { costs } = this.#parts;
    return costs.estimateMs([], spec.id, 3) - costs.estimateMs([], spec.id, level);
  }
}

function heldBytes(records: Iterable<ModelRecord>): number {
  let bytes = 0;
  for (const { holdsHostMemory, memory } of records) if (holdsHostMemory) bytes += memory.hostBytes ?? 0;
  return bytes;
}

function canMakeRoom(record: ModelRecord): boolean {
  return (
    record.state.kind === "asleep" &&
    record.state.level === 1 &&
    (record.memory.hostBytes ?? 0) > 0 &&
    record.switch === null &&
    record.queue.length === 0 &&
    record.suspendedSinceMs === null
  );
}
