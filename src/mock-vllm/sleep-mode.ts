/**
 * Sleep and wake of the executor, with the memory they move and the lines they print.
 *
 *   awake --sleep(1)--> weights in host memory, KV cache gone --wake--> awake
 *   awake --sleep(2)--> weights and KV cache gone --wake--> awake on garbage --reload--> awake
 *   asleep --wake(one tag)--> still asleep until the other tag is awake too
 *
 * Sleeping while the weights sleep and waking while awake change nothing.
 */
import type { CoreState } from "./core-protocol.ts";
import { restFor } from "./engine-load.ts";
import type { EngineMemory, MemoryState, Tag } from "./engine-memory.ts";
import type { Log } from "./log-lines.ts";
import type { Pace } from "./pace.ts";
import { pythonList, pythonSet } from "./python-text.ts";
import { formatGib } from "./quantity.ts";

interface Parts {
  readonly memory: EngineMemory;
  readonly pace: Pace;
  readonly log: Log;
  /** Whether a sleep frees memory; undefined without --enable-sleep-mode, when it does not even say so. */
  readonly frees: boolean | undefined;
}

const allTags: readonly Tag[] = ["weights", "kv_cache"];

/** The executor's side of sleep mode. Its methods must not overlap. */
export class SleepMode {
  readonly #parts: Parts;
  #isSleeping = false;
  #sleepingTags = new Set<Tag>();
  #level = 0;
  #hasSleptAtLevel1 = false;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** As it is now. */
  get state(): CoreState {
    return {
      isSleeping: this.#isSleeping,
      sleepingTags: [...this.#sleepingTags],
      level: this.#level,
      weights: this.#parts.memory.state.weights,
      isMapped: this.#parts.memory.isMapped,
    };
  }

  /** Whether `reload` has somewhere to write to. */
  get weightsAreMapped(): boolean {
    return ["loaded", "garbage"].includes(this.#parts.memory.state.weights);
  }

  /** Falls asleep at level 1 or 2. Throws when host memory does not suffice, or when others took GPU memory meanwhile. */
  async sleep(level: number, fault: { freesNothing: boolean; leakBytes: number }): Promise<void> {
    const { log, pace, frees, memory } = this.#parts;
    if (this.#sleepingTags.has("weights")) {
      log.warning("abstract.py:310", "Executor is already sleeping.");
      return;
    }
    const startedAt = performance.now();
    if (frees === true && !fault.freesNothing) {
      await this.#release(level, fault.leakBytes);
    } else {
      await restFor(pace.sleepMs(level, false));
      if (frees !== undefined) {
        for (const { gpu, freeBytes } of memory.freeBytes()) this.#sayFreed(0, gpu.totalBytes - freeBytes);
      }
    }
    this.#isSleeping = true;
    this.#sleepingTags = new Set(allTags);
    this.#level = level;
    log.info("abstract.py:317", `It took ${seconds(startedAt)} seconds to fall asleep.`);
  }

  /** Wakes the given tags, or all. Throws when the GPU has no room; then everything stays as it was. */
  async wake(tags: readonly string[] | undefined, fault: { outOfMemory: boolean; corrupt: boolean }): Promise<void> {
    const { log, pace, memory } = this.#parts;
    if (!this.#isSleeping) {
      log.warning("abstract.py:322", "Executor is not sleeping.");
      return;
    }
    const waking =
      tags === undefined || tags.length === 0 ? [...this.#sleepingTags] : tags.filter((tag) => this.#isAsleep(tag));
    const unknown = tags?.find((tag) => !this.#isAsleep(tag));
    if (unknown !== undefined) {
      log.warning("abstract.py:328", `Tag ${unknown} is not in sleeping tags ${pythonSet([...this.#sleepingTags])}`);
      return;
    }
    const startedAt = performance.now();
    const result = fault.outOfMemory ? undefined : memory.become(this.#mapped(waking, fault.corrupt));
    if (result?.granted !== true)
      throw new Error("CUDA Error: out of memory at /workspace/csrc/cumem_allocator.cpp:139");
    for (const tag of waking) await restFor(pace.wakeMs(this.#level, tag as Tag));
    if (waking.includes("weights")) memory.become({ hostCopy: false });
    const woken = tags === undefined || tags.length === 0 ? pythonSet(waking) : pythonList(waking);
    log.info("abstract.py:341", `It took ${seconds(startedAt)} seconds to wake up tags ${woken}.`);
    for (const tag of waking) this.#sleepingTags.delete(tag as Tag);
    this.#isSleeping = this.#sleepingTags.size > 0;
    if (!this.#isSleeping) this.#level = 0;
  }

  /** Reads the weights from disk again; they must be mapped. */
  async reload(): Promise<void> {
    const { log, pace, memory } = this.#parts;
    const startedAt = performance.now();
    log.info("inplace.py:91", "Reloading weights inplace...");
    await restFor(pace.reloadMs);
    log.info("default_loader.py:267", `Loading weights took ${seconds(startedAt)} seconds`);
    log.info("inplace.py:113", `Reloading and processing weights took ${seconds(startedAt, 2)} seconds`);
    memory.become({ weights: "loaded" });
  }

  async #release(level: number, leakBytes: number): Promise<void> {
    const { memory, pace } = this.#parts;
    const before = memory.freeBytes();
    if (level === 1 && !memory.become({ hostCopy: true }).granted) {
      throw new Error("CUDA error: out of memory (no pinned host memory left for the weights)");
    }
    await restFor(pace.sleepMs(level, !this.#hasSleptAtLevel1));
    if (level === 1) this.#hasSleptAtLevel1 = true;
    const { leakedBytes } = memory.state;
    const kept = level === 1 && memory.state.weights === "loaded";
    const released = memory.released(kept);
    memory.become({
      weights: kept ? "in host memory" : "discarded",
      kvCache: "absent",
      leakedBytes: leakedBytes + leakBytes,
    });
    for (const { totalBytes, backedUpBytes } of released) this.#sayReleased(totalBytes, backedUpBytes);
    for (const [at, { gpu, freeBytes }] of memory.freeBytes().entries()) {
      const freedBytes = freeBytes - (before[at]?.freeBytes ?? 0);
      if (freedBytes < 0) throw new Error("Memory usage increased after sleeping.");
      this.#sayFreed(freedBytes, gpu.totalBytes - freeBytes);
    }
  }

  #sayReleased(totalBytes: number, backedUpBytes: number): void {
    this.#parts.log.info(
      "cumem.py:284",
      `CuMemAllocator: sleep freed ${formatGib(totalBytes)} GiB memory in total, of which ${formatGib(backedUpBytes)} GiB is ` +
        `backed up in CPU and the rest ${formatGib(totalBytes - backedUpBytes)} GiB is discarded directly.`,
    );
  }

  #sayFreed(freedBytes: number, usedBytes: number): void {
    this.#parts.log.info(
      "gpu_worker.py:158",
      `Sleep mode freed ${formatGib(freedBytes)} GiB memory, ${formatGib(usedBytes)} GiB memory is still in use.`,
    );
  }

  #mapped(waking: readonly string[], corrupt: boolean): Partial<MemoryState> {
    const { weights } = this.#parts.memory.state;
    const restored = weights === "in host memory" ? "loaded" : weights === "discarded" ? "garbage" : weights;
    return {
      ...(waking.includes("weights") ? { weights: corrupt ? ("garbage" as const) : restored } : {}),
      ...(waking.includes("kv_cache") ? { kvCache: "on gpu" as const } : {}),
    };
  }

  #isAsleep(tag: string): boolean {
    return [...this.#sleepingTags].some((one) => one === tag);
  }
}

function seconds(sinceMs: number, digits = 6): string {
  return ((performance.now() - sinceMs) / 1000).toFixed(digits);
}
