/** First in, first out: the model whose request has waited longest is next. */
import type { Candidate, Decision, Policy, PolicyView } from "../policy.ts";

/** `minActiveMs`: how long a model stays awake at least before it is made to leave; ≥ 0. */
export function fifo(options: { readonly minActiveMs: number }): Policy {
  return (view) => decide(view, options.minActiveMs);
}

/**
 * Candidates are looked at in the order of their oldest request. One that cannot go yet keeps its devices: younger ones
 * may pass it only on other devices, so that a model that needs several devices is not starved by small ones.
 */
function decide(view: PolicyView, minActiveMs: number): Decision {
  const reserved = new Set<string>();
  let askAgainAtMs: number | null = null;
  for (const candidate of oldestFirst(view.candidates)) {
    const free = candidate.obstacle === null && !candidate.devices.some((device) => reserved.has(device));
    if (free) {
      const readyAtMs = Math.max(...candidate.victims.map((victim) => victim.awakeSinceMs + minActiveMs), 0);
      if (readyAtMs <= view.nowMs)
        return { kind: "switch", to: candidate.model, because: reason(candidate, view.nowMs) };
      askAgainAtMs = askAgainAtMs === null ? readyAtMs : Math.min(askAgainAtMs, readyAtMs);
    }
    for (const device of candidate.devices) reserved.add(device);
  }
  return { kind: "stay", askAgainAtMs };
}

function oldestFirst(candidates: readonly Candidate[]): readonly Candidate[] {
  return candidates.toSorted((a, b) => a.oldestEnqueuedAtMs - b.oldestEnqueuedAtMs);
}

function reason(candidate: Candidate, nowMs: number): string {
  const waitedMs = Math.round(nowMs - candidate.oldestEnqueuedAtMs);
  if (candidate.victims.length === 0) return `${candidate.waiting} wait for it, and nobody is awake there`;
  return `of all requests that wait, its oldest has waited longest: ${waitedMs} ms (${candidate.waiting} in its queue)`;
}
