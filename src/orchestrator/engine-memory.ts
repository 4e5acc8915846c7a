/**
 * What one life of an engine holds of GPU and host memory, by the GPU where it tells who holds what, else by the engine's own
 * words. Nothing is guessed: what neither says is not reported.
 */
import type { LiveSleepLevel } from "../core/sleep-level.ts";
import type { Clock, TimerHandle } from "../ports/clock.ts";
import type { GpuProbe, GpuShare } from "../ports/gpu-probe.ts";
import { proofByOutput, proofByProbe, type SleepProof } from "./sleep-proof.ts";
import { SpokenMemory } from "./spoken-memory.ts";

/** Figures in bytes, those that are new. Of GPU memory it is the most that it holds of any one device. */
export interface MeasuredMemory {
  readonly awakeBytes?: number;
  /** What it keeps while it is asleep. */
  readonly residueBytes?: number;
  /** Of the host's memory, while it sleeps at level 1. */
  readonly hostBytes?: number;
}

/** What it needs to know of its engine. */
export interface MeasuredEngine {
  readonly probe: GpuProbe;
  readonly clock: Clock;
  /** How many processes share the model; each has a GPU of its own. */
  readonly workers: number;
  readonly processes: () => readonly number[];
  /** Whether no other engine of ours has a process on one of its GPUs. */
  readonly isAlone: () => boolean;
  readonly report: (figures: MeasuredMemory) => void;
}

/** To measure reads all of /proc and takes a process: tens of ms that nobody should wait for. */
const MEASURE_AFTER_MS = 1_000;

/** Measures in the background; a transition that begins calls that off. */
export class EngineMemory {
  readonly #engine: MeasuredEngine;
  readonly #spoken = new SpokenMemory();
  readonly #reported = new Map<string, number>();
  #awake: Promise<readonly GpuShare[] | null> | null = null;
  #timer: TimerHandle | null = null;
  /** Counts the transitions: what was measured across one is of no account. */
  #transitions = 0;

  constructor(engine: MeasuredEngine) {
    this.#engine = engine;
  }

  /** A line of its output. */
  hear(line: string): void {
    this.#spoken.take(line);
  }

  /** It is ready for the first time. */
  onReady(): void {
    this.#report({ hostBytes: this.#spoken.hostBytes(this.#engine.workers) });
    this.#later(() => this.#measureAwake());
  }

  /** A wake begins, or the end. */
  onTransition(): void {
    this.#transitions += 1;
    this.#timer?.cancel();
  }

  /** Before a sleep: a measurement that sees the engine half asleep would prove that nothing came free. */
  async untilMeasured(): Promise<void> {
    this.#timer?.cancel();
    await this.#measureAwake();
  }

  /** A sleep begins. All lines until here have been heard. */
  onSleep(): void {
    this.onTransition();
    this.#spoken.beginSleep();
  }

  /** Whether the sleep has freed memory. The engine's words cost nothing; the GPU is asked only where there are none. */
  async prove(): Promise<SleepProof> {
    const byOutput = proofByOutput(this.#spoken.freedBytes());
    if (byOutput !== null) return byOutput;
    const awakeBytes = totalOf(await this.#measureAwake());
    if (awakeBytes === null) return { kind: "unknown" };
    return proofByProbe(awakeBytes, totalOf(await this.#shares()));
  }

  /** It is asleep. */
  async onAsleep(level: LiveSleepLevel): Promise<void> {
    const transitions = this.#transitions;
    const { workers, isAlone } = this.#engine;
    // What is in use of the GPU is its own only when nobody else is there.
    const inUseBytes = isAlone() ? this.#spoken.inUseBytes() : null;
    if (level === 1) this.#report({ hostBytes: this.#spoken.hostBytes(workers) });
    const gpuTells = largestOf(await this.#measureAwake()) !== null;
    if (transitions !== this.#transitions) return;
    if (!gpuTells) return this.#report({ residueBytes: inUseBytes });
    this.#later(async () => {
      const shares = await this.#shares();
      if (transitions === this.#transitions) this.#report({ residueBytes: largestOf(shares) });
    });
  }

  /** Once in a life, while the engine is awake. */
  #measureAwake(): Promise<readonly GpuShare[] | null> {
    this.#awake ??= this.#reportAwake();
    return this.#awake;
  }

  async #reportAwake(): Promise<readonly GpuShare[] | null> {
    const transitions = this.#transitions;
    const shares = await this.#shares();
    if (transitions === this.#transitions) this.#report({ awakeBytes: largestOf(shares) });
    return shares;
  }

  #shares(): Promise<readonly GpuShare[] | null> {
    return this.#engine.probe.sharesOf(this.#engine.processes());
  }

  #later(measure: () => Promise<unknown>): void {
    this.#timer?.cancel();
    this.#timer = this.#engine.clock.after(MEASURE_AFTER_MS, () => void measure());
  }

  #report(figures: { readonly [K in keyof MeasuredMemory]: number | null }): void {
    const fresh = Object.entries(figures).filter(
      (entry): entry is [string, number] => entry[1] !== null && this.#reported.get(entry[0]) !== entry[1],
    );
    if (fresh.length === 0) return;
    for (const [name, bytes] of fresh) this.#reported.set(name, bytes);
    this.#engine.report(Object.fromEntries(fresh));
  }
}

/** Null where nothing is known: an engine that is awake holds something, so a driver that sees nothing does not tell. */
function largestOf(shares: readonly GpuShare[] | null): number | null {
  const largest = Math.max(0, ...(shares ?? []).map(({ usedBytes }) => usedBytes));
  return largest === 0 ? null : largest;
}

function totalOf(shares: readonly GpuShare[] | null): number | null {
  return shares === null ? null : shares.reduce((sum, { usedBytes }) => sum + usedBytes, 0);
}
