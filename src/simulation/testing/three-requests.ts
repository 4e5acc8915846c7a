/** Three requests for two models that share a GPU, and the figures of their run, worked out by hand. */
import type { Arrival } from "../arrivals.ts";

/**
 * Each has 100 tokens in and 11 out. With 10 ms a token out, 1 ms a token in, sleeps of 1 s, wakes of 2 s and a minimum stay of 5 s: a is awake
 * at 2000, its first token comes at 2100 and its last at 2200. b comes at 3000; a may leave at 7000 and is idle: asleep at 8000, b awake
 * at 10000. The third comes for a at 4000, while a is awake: first token at 4100.
 */
export const THREE_REQUESTS: readonly Arrival[] = [
  { atMs: 0, model: "a", promptTokens: 100, outputTokens: 11 },
  { atMs: 3000, model: "b", promptTokens: 100, outputTokens: 11 },
  { atMs: 4000, model: "a", promptTokens: 100, outputTokens: 11 },
];

/** What was lost of them: nothing. */
export const NONE_LOST = { refused: 0, aborted: 0, unfinished: 0 } as const;

/** What a report says of them all, whatever the goodput counts as good. */
export const FIGURES_OF_THREE = {
  requests: 3,
  ttft_s: { mean: 3.1, p50: 2.1, p95: 7.1, p99: 7.1, max: 7.1 },
  e2e_s: { p50: 2.2, p99: 7.2 },
  ...NONE_LOST,
  duration_s: 10.2,
  switches: 2,
  switch_share: 0.4902,
  drain_share: 0,
  bound_s: null,
} as const;
