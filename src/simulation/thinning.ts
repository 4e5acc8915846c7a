/** Which part of a trace is played: a window in time, and of each model's requests a random share. */
import { Random, scramble } from "./random.ts";
import type { TraceRow } from "./trace-file.ts";

/** What is kept. */
export interface Selection {
  /** On the trace's clock, in s; the first moment that belongs to it. */
  readonly fromS: number;
  /** The first moment that does not. */
  readonly toS: number;
  /** The share that is kept of each model's requests, from 0 to 1. */
  readonly keep: number;
  readonly seed: number;
}

/**
 * Returns a function that says of each row of a trace, from the first on, whether it is kept. Bursts keep their shape, which they
 * would not if time were stretched. What is kept of a model depends on the seed and the model's own rows alone: neither
 * another window nor another model's rows change it.
 */
export function newThinning(selection: Selection): (row: TraceRow) => boolean {
  const chances = new Map<string, Random>();
  return ({ model, timestampS }) => {
    let chance = chances.get(model);
    if (chance === undefined) chances.set(model, (chance = new Random(seedFor(model, selection.seed))));
    const lucky = chance.chance(selection.keep);
    return lucky && timestampS >= selection.fromS && timestampS < selection.toS;
  };
}

function seedFor(model: string, seed: number): number {
  let mixed = scramble(seed);
  for (let index = 0; index < model.length; index += 1) mixed = scramble(mixed ^ model.charCodeAt(index));
  return mixed;
}
