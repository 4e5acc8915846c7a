/** A policy that fifo is not: it shows that the core holds under decisions nobody would take. */
import type { Policy } from "../src/core/policy.ts";

/** Switches to the model whose oldest request is the youngest, of those that can come up. */
export function newestFirst(options: { readonly minActiveMs: number }): Policy {
  return ({ nowMs, candidates }) => {
    let askAgainAtMs: number | null = null;
    for (const { model, obstacle, victims } of candidates.toSorted(
      (a, b) => b.oldestEnqueuedAtMs - a.oldestEnqueuedAtMs,
    )) {
      if (obstacle !== null) continue;
      const readyAtMs = Math.max(0, ...victims.map(({ awakeSinceMs }) => awakeSinceMs + options.minActiveMs));
      if (readyAtMs <= nowMs) return { kind: "switch", to: model, because: "its requests came last" };
      askAgainAtMs = Math.min(askAgainAtMs ?? readyAtMs, readyAtMs);
    }
    return { kind: "stay", askAgainAtMs };
  };
}
