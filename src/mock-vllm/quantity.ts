/** Amounts as people write them: bytes with a unit, and GiB as vLLM prints it. */
import { UsageError } from "./usage-error.ts";

const bytesPerUnit: Readonly<Record<string, number>> = {
  "": 1,
  b: 1,
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
  tb: 1e12,
  kib: 2 ** 10,
  mib: 2 ** 20,
  gib: 2 ** 30,
  tib: 2 ** 40,
};

/** One GiB in bytes. */
export const gibBytes = 2 ** 30;

/** Reads `24GiB`, `512 MiB`, `8GB` or a bare number of bytes; `source` names where it came from in the `UsageError`. */
export function parseBytes(text: string, source: string): number {
  const match = /^\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*$/i.exec(text);
  const unit = bytesPerUnit[(match?.[2] ?? "?").toLowerCase()];
  if (match === null || unit === undefined) {
    throw new UsageError(`${source}: expected an amount of memory such as 24GiB, 512MiB or 1000000, found "${text}"`);
  }
  return Math.round(Number(match[1]) * unit);
}

/** Reads a number from `min` up to `max`; `source` names where it came from in the `UsageError`. */
export function parseNumber(
  text: string,
  source: string,
  limits: { min: number; max: number; whole: boolean },
): number {
  const value = text.trim() === "" ? Number.NaN : Number(text);
  if (
    !Number.isFinite(value) ||
    value < limits.min ||
    value > limits.max ||
    (limits.whole && !Number.isInteger(value))
  ) {
    const kind = limits.whole ? "a whole number" : "a number";
    const range =
      limits.max === Number.MAX_SAFE_INTEGER ? `of at least ${limits.min}` : `from ${limits.min} to ${limits.max}`;
    throw new UsageError(`${source}: expected ${kind} ${range}, found "${text}"`);
  }
  return value;
}

/** Bytes as GiB with two decimals, as in vLLM's log lines. */
export function formatGib(bytes: number): string {
  return (bytes / gibBytes).toFixed(2);
}

/** Bytes in the shortest exact-looking unit, for people: `24GiB`, `512MiB`, `1000B`. */
export function formatBytes(bytes: number): string {
  if (bytes >= gibBytes) return `${Number((bytes / gibBytes).toFixed(2))}GiB`;
  if (bytes >= 2 ** 20) return `${Number((bytes / 2 ** 20).toFixed(1))}MiB`;
  return `${bytes}B`;
}
