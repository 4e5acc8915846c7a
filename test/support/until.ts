/** Waiting for a condition instead of for time. */

const LIMIT_MS = 20_000;
const LOOK_MS = 5;

/** Resolves with the first value that is neither null, undefined nor false; rejects after 20 s, naming `what`. */
export async function until<T>(
  what: string,
  look: () => T | null | undefined | false | Promise<T | null | undefined | false>,
  limitMs: number = LIMIT_MS,
): Promise<T> {
  const endAtMs = performance.now() + limitMs;
  for (;;) {
    const value = await look();
    if (value !== null && value !== undefined && value !== false) return value;
    if (performance.now() > endAtMs) throw new Error(`waited ${limitMs} ms in vain until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
}
