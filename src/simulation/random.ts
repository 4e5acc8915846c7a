/** Chance that can be had again: the same seed gives the same numbers. */
import { assert } from "../base/assert.ts";

/** A seeded stream of numbers (mulberry32). Good enough for scenarios, for nothing secret. */
export class Random {
  #state: number;

  /** `seed`: any integer; its low 32 bits count. */
  constructor(seed: number) {
    this.#state = seed | 0;
  }

  /** In [0, 1). */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    return scramble(this.#state) / 2 ** 32;
  }

  /** An integer from `min` to `max`, both included. */
  int(min: number, max: number): number {
    return min + Math.floor(this.next() * (max - min + 1));
  }

  /** True with this probability. */
  chance(probability: number): boolean {
    return this.next() < probability;
  }

  pick<T>(list: readonly T[]): T {
    const picked = list[Math.floor(this.next() * list.length)];
    assert(picked !== undefined, "nothing to pick from");
    return picked;
  }

  /** A time until the next of many independent arrivals, in the unit of `mean`. */
  exponential(mean: number): number {
    return -Math.log(1 - this.next()) * mean;
  }
}

/** A number in [0, 1) that depends on these integers alone, so that what happens elsewhere in a run does not change it. */
export function fractionOf(a: number, b: number, c: number, d: number): number {
  let mixed = scramble(a);
  mixed = scramble(mixed ^ b);
  mixed = scramble(mixed ^ c);
  mixed = scramble(mixed ^ d);
  return mixed / 2 ** 32;
}

/** Mixes the bits of an integer; the result is an integer from 0 to 2³² − 1. */
export function scramble(value: number): number {
  let mixed = (value + 0x9e3779b9) | 0;
  mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
  mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
  return (mixed ^ (mixed >>> 14)) >>> 0;
}
