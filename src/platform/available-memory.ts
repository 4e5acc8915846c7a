/** How much of the host's memory could be given to a new program, as Linux tells it. */
import { readFileSync } from "node:fs";

/** In bytes, caches that could be dropped included; null where `/proc/meminfo` is not there or does not say. */
export function availableMemoryBytes(file = "/proc/meminfo"): number | null {
  try {
    return parseMemAvailable(readFileSync(file, "utf8"));
  } catch {
    return null;
  }
}

/** The line `MemAvailable:   123456 kB`, in bytes (the file's kB are 1024 bytes). */
export function parseMemAvailable(text: string): number | null {
  const kibibytes = /^MemAvailable:\s+(\d+) kB$/m.exec(text)?.[1];
  return kibibytes === undefined ? null : Number(kibibytes) * 1024;
}
