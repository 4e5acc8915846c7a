/** Whether a sleep has really freed GPU memory. An engine that answers 200 has not proved it. */

/** Where the proof came from, or what speaks against it. */
export type SleepProof =
  | { readonly kind: "freed"; readonly freedBytes: number; readonly by: "engine output" | "gpu probe" }
  | { readonly kind: "not freed"; readonly because: string }
  /** Neither the engine nor the GPU says anything, as on a machine without one. */
  | { readonly kind: "unknown" };

/** More than this share of what the engine held awake, still held asleep, is no sleep. */
const RESIDUE_SHARE_MAX = 0.5;

/** Real residues are 1–2 GiB, which is most of what a small engine holds: then it is enough that something came free. */
const RESIDUE_BYTES_MAX = 2 * 1024 ** 3;
const SMALL_RESIDUE_SHARE_MAX = 0.9;

/** What each worker of the engine says that it freed on its GPU, in bytes; null when none said anything. */
export function proofByOutput(freed: readonly number[]): SleepProof | null {
  if (freed.length === 0) return null;
  if (freed.some((bytes) => bytes <= 0)) return { kind: "not freed", because: "it says itself that it freed nothing" };
  return { kind: "freed", freedBytes: freed.reduce((sum, bytes) => sum + bytes, 0), by: "engine output" };
}

/** What the GPU says the engine's processes hold, awake and asleep, in bytes; null where it does not say. */
export function proofByProbe(awakeBytes: number | null, asleepBytes: number | null): SleepProof {
  if (awakeBytes === null || asleepBytes === null || awakeBytes === 0) return { kind: "unknown" };
  const shareMax = asleepBytes <= RESIDUE_BYTES_MAX ? SMALL_RESIDUE_SHARE_MAX : RESIDUE_SHARE_MAX;
  if (asleepBytes <= awakeBytes * shareMax) {
    return { kind: "freed", freedBytes: awakeBytes - asleepBytes, by: "gpu probe" };
  }
  const because = `it still holds ${mebibytes(asleepBytes)} MiB of ${mebibytes(awakeBytes)} MiB on the GPU`;
  return { kind: "not freed", because };
}

function mebibytes(bytes: number): number {
  return Math.round(bytes / 1024 ** 2);
}
