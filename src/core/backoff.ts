/** How long a model that failed is left alone before it is tried again. */

/** Wait before the first retry of a failed wake or start. */
const FIRST_DELAY_MS = 2_000;

/** No wait is longer unless something else is said: a broken model is tried every five minutes, and only if somebody asks for it or it is pinned. */
const DELAY_MAX_MS = 300_000;

/**
 * The wait in ms after the `failuresInRow`-th failure (≥ 1). A crash gets its first retry at once, since the engine did
 * work; a failed start or wake waits 2 s. From there on each wait is twice the last, up to `maxMs`.
 */
export function retryDelayMs(
  kind: "crash" | "failed wake",
  failuresInRow: number,
  maxMs: number = DELAY_MAX_MS,
): number {
  const step = kind === "crash" ? failuresInRow - 1 : failuresInRow;
  if (step <= 0) return 0;
  return Math.min(FIRST_DELAY_MS * 2 ** Math.min(step - 1, 30), maxMs);
}
