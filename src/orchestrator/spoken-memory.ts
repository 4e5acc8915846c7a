/** What an engine's own output says of the memory it holds. */
import { parseBackedUpBytes, parseLoadedBytes, parseSleepMemory, type SleepMemory } from "../engines/vllm-memory.ts";

/** Listens to one life of an engine, line by line. */
export class SpokenMemory {
  /** Of one worker, or of each: versions differ. */
  readonly #loadedBytes: number[] = [];
  #sleeps: SleepMemory[] = [];
  #backedUpBytes: number[] = [];

  take(line: string): void {
    const loadedBytes = parseLoadedBytes(line);
    if (loadedBytes !== null) this.#loadedBytes.push(loadedBytes);
    const sleep = parseSleepMemory(line);
    if (sleep !== null) this.#sleeps.push(sleep);
    const backedUpBytes = parseBackedUpBytes(line);
    if (backedUpBytes !== null) this.#backedUpBytes.push(backedUpBytes);
  }

  /** What was said of earlier sleeps is of no account for the one that begins now. */
  beginSleep(): void {
    this.#sleeps = [];
    this.#backedUpBytes = [];
  }

  /** What each worker freed in the last sleep, in bytes; empty when none has said so. */
  freedBytes(): readonly number[] {
    return this.#sleeps.map(({ freedBytes }) => freedBytes);
  }

  /** The most that was in use of a GPU after the last sleep, whoever held it; null when no worker has said so. */
  inUseBytes(): number | null {
    return this.#sleeps.length === 0 ? null : Math.max(...this.#sleeps.map(({ inUseBytes }) => inUseBytes));
  }

  /**
   * What a sleep at level 1 takes of the host's memory, all workers together: as the last sleep said, or, before there was
   * one, as much as was loaded. Null when the engine has said neither.
   */
  hostBytes(workers: number): number | null {
    if (this.#backedUpBytes.length > 0) return sum(this.#backedUpBytes);
    if (this.#loadedBytes.length === 0) return null;
    // One that speaks for all has as much as each of the others.
    return this.#loadedBytes.length === 1 ? sum(this.#loadedBytes) * workers : sum(this.#loadedBytes);
  }
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
