/** Sizes in bytes as people write them: `64MiB`, `1.5GB`, or a plain number of bytes. */

const unitBytes: Readonly<Record<string, number>> = {
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

/** Reads `512B`, `64MiB`, `1.5 GB` (any case) into whole bytes; undefined for anything else and for what no number holds exactly. */
export function parseByteSize(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?) ?([a-z]+)$/i.exec(text);
  const factor = unitBytes[match?.[2]?.toLowerCase() ?? ""];
  if (match === null || factor === undefined) return undefined;
  const bytes = Math.round(Number(match[1]) * factor);
  return Number.isSafeInteger(bytes) ? bytes : undefined;
}

/** Writes bytes for people, in the largest binary unit that gives at least 1, with at most one decimal: `20 GiB`, `1.5 GiB`. */
export function formatByteSize(bytes: number): string {
  const [unit, factor] = sizeUnits.find(([, size]) => bytes >= size) ?? (["B", 1] as const);
  return `${Number((bytes / factor).toFixed(1))} ${unit}`;
}

const sizeUnits = [
  ["TiB", 2 ** 40],
  ["GiB", 2 ** 30],
  ["MiB", 2 ** 20],
  ["KiB", 2 ** 10],
] as const;
