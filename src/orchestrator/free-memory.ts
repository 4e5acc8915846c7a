/** What is free on the GPUs, for the message of an engine that found too little there. */
import type { Failure } from "../base/failure.ts";
import type { GpuProbe } from "../ports/gpu-probe.ts";

const GIB = 1024 ** 3;

/** The same failure, with what these GPUs (null: all) say is free on them; as it was where they do not tell. */
export async function withFreeMemory(
  reason: Failure,
  probe: GpuProbe,
  gpus: readonly number[] | null,
): Promise<Failure> {
  const seen = (await probe.gpus())?.filter(({ index }) => gpus?.includes(Number(index)) ?? true) ?? [];
  if (seen.length === 0) return reason;
  const free = seen.map(
    ({ index, totalBytes, usedBytes }) =>
      `${gibibytes(totalBytes - usedBytes)} of ${gibibytes(totalBytes)} GiB on GPU ${index}`,
  );
  const freeBytes = Math.min(...seen.map(({ totalBytes, usedBytes }) => totalBytes - usedBytes));
  return { ...reason, message: `${reason.message}; free: ${free.join(", ")}`, freeBytes };
}

function gibibytes(bytes: number): string {
  return (bytes / GIB).toFixed(2);
}
