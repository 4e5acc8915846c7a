/** How long things take: from bytes and bandwidths like those of real machines, unless told otherwise. All in ms. */
import type { Settings } from "./settings.ts";
import { SharedTempo } from "./shared-tempo.ts";
import { SteadyTempo, type Tempo } from "./tempo.ts";

/** Durations of one engine, in ms. */
export interface Pace {
  readonly loadMs: number;
  readonly reloadMs: number;
  readonly ttftMs: number;
  readonly itlMs: number;
  /** Where it is given, requests share the engine's speed; `ttftMs` is of no account then. */
  readonly prefillTokensPerMs: number | undefined;
  /** From the moment an engine that lost its EngineCore refuses connections to the end of its process. */
  readonly cleanUpMs: number;
  /** `first` is the first level-1 sleep, which also allocates the pinned host memory. */
  sleepMs(level: number, first: boolean): number;
  /** For one tag; a full wake is both, one after the other. */
  wakeMs(level: number, tag: "weights" | "kv_cache"): number;
}

/** Bytes per ms. Reading weights from a local disk; copying over PCIe; allocating pinned memory for the first time. */
const diskBytesPerMs = 2e6;
const copyBytesPerMs = 15e6;
const pinnedBytesPerMs = 3e6;
const startOverheadMs = 1_800;
const transitionOverheadMs = 100;
const cleanUpMs = 2_200;

/** A batch has no speed without an end. */
const sharedItlMsMin = 0.001;

/** The tempo of an engine's answers. */
export function tempoOf({ ttftMs, itlMs, prefillTokensPerMs }: Pace): Tempo {
  if (prefillTokensPerMs === undefined) return new SteadyTempo({ ttftMs, itlMs });
  return new SharedTempo({ itlMs: Math.max(itlMs, sharedItlMsMin), prefillTokensPerMs });
}

/** The pace of an engine whose weights take `weightsBytes` in all. */
export function paceOf(settings: Settings, weightsBytes: number): Pace {
  const scale = settings.timeScale ?? 1;
  return {
    loadMs: settings.loadMs ?? scale * (startOverheadMs + weightsBytes / diskBytesPerMs),
    reloadMs: settings.reloadMs ?? scale * (weightsBytes / diskBytesPerMs),
    ttftMs: settings.ttftMs ?? scale * 30,
    itlMs: settings.itlMs ?? scale * 15,
    prefillTokensPerMs: settings.prefillTokensPerS === undefined ? undefined : settings.prefillTokensPerS / 1000,
    cleanUpMs: scale * cleanUpMs,
    sleepMs: (level, first) => {
      const copyMs = level === 1 ? weightsBytes / copyBytesPerMs : 0;
      // A sleep whose length is set is that long the first time too, unless the penalty is set as well.
      const derivedPenaltyMs = settings.sleepMs === undefined ? scale * (weightsBytes / pinnedBytesPerMs) : 0;
      const penaltyMs = level === 1 && first ? (settings.firstSleepMs ?? derivedPenaltyMs) : 0;
      return (settings.sleepMs ?? scale * (transitionOverheadMs + copyMs)) + penaltyMs;
    },
    wakeMs: (level, tag) => {
      const copyMs = level === 1 && tag === "weights" ? weightsBytes / copyBytesPerMs : 0;
      return settings.wakeMs === undefined ? scale * (transitionOverheadMs / 2 + copyMs) : settings.wakeMs / 2;
    },
  };
}
