/** What a switch costs, as measured: moving averages for each pair of who left and who came, by how the one that came came up. */
import { fromLabel } from "./switch.ts";
import type { ModelId } from "./model.ts";
import type { SleepLevel } from "./sleep-level.ts";

/** One average, as it is kept from run to run. */
export interface SwitchCostEntry {
  /** Who left, as `fromLabel` names them. */
  readonly from: string;
  readonly to: ModelId;
  /** From where it came up: asleep at 1 or 2, or not running (3). */
  readonly level: SleepLevel;
  /** Sleep plus wake, drain left out, in ms; ≥ 0. */
  readonly costMs: number;
}

/** Weight of the newest measurement. */
const NEWEST_SHARE = 0.3;

/**
 * Believed of a pair while nothing is known of the one that comes, in ms. Between what small and large models take: a wake of
 * 0.1–5 s from level 1, 1–8 s from level 2, a start of 20–100 s (figures published for A4000, A100 and L40 in 2025 and 2026).
 */
const PRIOR_MS: Readonly<Record<SleepLevel, number>> = { 1: 3_000, 2: 6_000, 3: 30_000 };

interface Averages {
  /** By level, then by who left. */
  readonly pairs: Record<SleepLevel, Map<string, number>>;
  /** By level, whoever left. */
  readonly any: Partial<Record<SleepLevel, number>>;
}

/** Sleep plus wake of a switch, drain left out, in ms. */
export class SwitchCosts {
  readonly #of = new Map<ModelId, Averages>();

  /** Begins with what a former run has measured. */
  constructor(known: readonly SwitchCostEntry[] = []) {
    for (const { from, to, level, costMs } of known) this.#take(from, to, level, costMs);
  }

  /** Takes a measurement in and returns the new average. */
  observe(victims: readonly ModelId[], target: ModelId, level: SleepLevel, costMs: number): number {
    return this.#take(fromLabel(victims), target, level, costMs);
  }

  /** Of this pair as measured, else of the one that comes whoever leaves, else a guess. */
  estimateMs(victims: readonly ModelId[], target: ModelId, level: SleepLevel): number {
    return this.measuredMs(victims, target, level) ?? PRIOR_MS[level];
  }

  /** The same, or null where nothing was measured. */
  measuredMs(victims: readonly ModelId[], target: ModelId, level: SleepLevel): number | null {
    const averages = this.#of.get(target);
    if (averages === undefined) return null;
    return averages.pairs[level].get(fromLabel(victims)) ?? averages.any[level] ?? null;
  }

  /** What bringing this model up costs from a level, whoever leaves; null where nothing was measured. */
  wakeMs(target: ModelId, level: SleepLevel): number | null {
    return this.#of.get(target)?.any[level] ?? null;
  }

  /** The dearest way in which this model comes up from a level, whoever leaves; a guess where nothing was measured. */
  largestMs(target: ModelId, level: SleepLevel): number {
    const pairs = this.#of.get(target)?.pairs[level];
    return pairs === undefined || pairs.size === 0 ? PRIOR_MS[level] : Math.max(...pairs.values());
  }

  /** All averages of pairs, for the next run. */
  entries(): SwitchCostEntry[] {
    const entries: SwitchCostEntry[] = [];
    for (const [to, { pairs }] of this.#of) {
      for (const level of [1, 2, 3] as const) {
        for (const [from, costMs] of pairs[level]) entries.push({ from, to, level, costMs });
      }
    }
    return entries;
  }

  #take(from: string, to: ModelId, level: SleepLevel, costMs: number): number {
    let averages = this.#of.get(to);
    if (averages === undefined) {
      averages = { pairs: { 1: new Map(), 2: new Map(), 3: new Map() }, any: {} };
      this.#of.set(to, averages);
    }
    const pairs = averages.pairs[level];
    const average = averaged(pairs.get(from), costMs);
    pairs.set(from, average);
    averages.any[level] = averaged(averages.any[level], costMs);
    return average;
  }
}

function averaged(before: number | undefined, newest: number): number {
  return before === undefined ? newest : before + NEWEST_SHARE * (newest - before);
}
