/** What each model takes of its devices and of the host, as far as it is known: told by the configuration, then measured. */
import type { ModelSpec } from "./model.ts";

/** All in bytes; of a device, what it takes of each of its devices. */
export interface MemoryFigures {
  /** While it is awake; null: not known. */
  needBytes: number | null;
  /** What it leaves behind on a device while it sleeps. */
  residueBytes: number;
  /** False while that is only believed. */
  residueIsMeasured: boolean;
  /** Of the host while it sleeps at level 1; null: not known. */
  hostBytes: number | null;
}

/** What was measured; what is absent was not. */
export interface MemoryMeasurement {
  readonly awakeBytes?: number;
  readonly residueBytes?: number;
  readonly hostBytes?: number;
}

/** Believed of a sleeper until it is measured: 0.9 to 1.7 GiB were seen with vLLM, rounded up. */
export const RESIDUE_PRIOR_BYTES = 2 * 1024 ** 3;

/** A measurement that is further than this share from what was believed is worth a word. */
const MARGIN_SHARE = 0.1;

/** What is known before anything is measured. */
export function newFigures(spec: ModelSpec): MemoryFigures {
  return {
    needBytes: spec.needBytes ?? null,
    // One that needs less than the prior cannot leave more than it needs.
    residueBytes: Math.min(RESIDUE_PRIOR_BYTES, spec.needBytes ?? RESIDUE_PRIOR_BYTES),
    residueIsMeasured: false,
    hostBytes: spec.hostBytes ?? null,
  };
}

/** Takes a measurement in. Returns what was believed of the memory awake if that was wrong by more than a tenth, else null. */
export function takeMeasurement(figures: MemoryFigures, measured: MemoryMeasurement): number | null {
  const believed = figures.needBytes;
  if (measured.awakeBytes !== undefined) {
    figures.needBytes = measured.awakeBytes;
    if (!figures.residueIsMeasured) figures.residueBytes = Math.min(RESIDUE_PRIOR_BYTES, measured.awakeBytes);
  }
  if (measured.residueBytes !== undefined) {
    figures.residueBytes = measured.residueBytes;
    figures.residueIsMeasured = true;
  }
  if (measured.hostBytes !== undefined) figures.hostBytes = measured.hostBytes;
  if (believed === null || measured.awakeBytes === undefined) return null;
  return Math.abs(measured.awakeBytes - believed) > MARGIN_SHARE * believed ? believed : null;
}

/** Bytes as people read them: "1.5 GiB", "300 MiB". */
export function sizeText(bytes: number): string {
  const gib = bytes / 1024 ** 3;
  if (gib >= 1) return `${Number(gib.toFixed(1))} GiB`;
  return `${Math.round(bytes / 1024 ** 2)} MiB`;
}
