/** What vLLM says of memory: in the lines of its output, and in the answers to its control calls. No I/O. */
import { spokenLines } from "./vllm-output.ts";

const GIB = 1024 ** 3;

/** What one worker says of its GPU when it has fallen asleep, in bytes. */
export interface SleepMemory {
  readonly freedBytes: number;
  /** Of the whole GPU, whoever holds it. */
  readonly inUseBytes: number;
}

/** The line that each worker prints when it has fallen asleep; null for any other line. */
export function parseSleepMemory(line: string): SleepMemory | null {
  const match = /Sleep mode freed (-?[\d.]+) GiB memory, (-?[\d.]+) GiB memory is still in use/.exec(line);
  if (match === null) return null;
  return { freedBytes: Number(match[1]) * GIB, inUseBytes: Number(match[2]) * GIB };
}

/** What one worker has put into the host's memory as it fell asleep, in bytes; null for any other line. */
export function parseBackedUpBytes(line: string): number | null {
  const match = /sleep freed [\d.]+ GiB memory in total, of which ([\d.]+) GiB is backed up in CPU/.exec(line);
  return match === null ? null : Number(match[1]) * GIB;
}

/** What one worker has loaded, in bytes, most of it weights; null for any other line. Some versions let one worker speak for all. */
export function parseLoadedBytes(line: string): number | null {
  const match = /Model loading took ([\d.]+) GiB/.exec(line);
  return match === null ? null : Number(match[1]) * GIB;
}

/** How the allocators of vLLM and of torch complain, on any make of GPU. */
const OUT_OF_MEMORY = /\bOutOfMemoryError\b|\b(?:CUDA|HIP|XPU)\b.{0,40}\bout of memory\b/i;

/** vLLM's own checks at its start. */
const TOO_LITTLE = /Free memory on device .* is less than |No available memory for the cache blocks/;

/** Whether the answer to a wake says that the GPU has too little memory. */
export function saysOutOfMemory(body: string): boolean {
  return OUT_OF_MEMORY.test(body);
}

/**
 * The line, without its prefix, in which an engine that did not start says that it found too little GPU memory; null if it
 * did not say so. The first such line counts: what stands below it follows from it.
 */
export function outOfMemoryCause(lines: readonly string[]): string | null {
  // What is logged as a warning may quote an error that did not happen.
  const spoken = spokenLines(lines).filter(({ level }) => level === null || level === "ERROR");
  const said = spoken.find(({ text }) => TOO_LITTLE.test(text) || OUT_OF_MEMORY.test(text));
  return said?.text ?? null;
}
