/** How much more or less a request weighs than a normal one, and how that orders a queue. */
import type { Priority } from "./model.ts";

/** All priorities, the most urgent first. */
export const PRIORITIES: readonly Priority[] = ["high", "normal", "low"];

/** A high request weighs as much as four normal ones, a low one as much as a quarter of one. */
export const PRIORITY_WEIGHT: Readonly<Record<Priority, number>> = { high: 4, normal: 1, low: 0.25 };

/** Within a queue a request is let in as if it had come so much earlier, in ms: later ones pass older ones by this much and no more. */
export const PRIORITY_HEAD_START_MS: Readonly<Record<Priority, number>> = { high: 30_000, normal: 0, low: -30_000 };
