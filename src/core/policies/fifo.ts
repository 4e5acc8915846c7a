/** First in, first out: the model whose request has waited longest is next. */
import type { DeviceId } from "../model.ts";
import type { Candidate, Decision, Policy, PolicyView, Verdict } from "../policy.ts";

/** `minActiveMs`: how long a model stays awake at least before it is made to leave; ≥ 0. */
export function fifo({ minActiveMs }: { readonly minActiveMs: number }): Policy {
  return Object.assign((view: PolicyView) => decide(view, minActiveMs), {
    explain: (view: PolicyView) => explain(view, minActiveMs),
  });
}

/**
 * Candidates are looked at in the order of their oldest request. One that cannot go yet keeps its devices: younger ones
 * may pass it only on other devices, so that a model that needs several devices is not starved by small ones.
 */
function decide(view: PolicyView, minActiveMs: number): Decision {
  const reserved = new Set<DeviceId>();
  let askAgainAtMs: number | null = null;
  for (const candidate of oldestFirst(view.candidates)) {
    const free = candidate.obstacle === null && !candidate.devices.some((device) => reserved.has(device));
    if (free) {
      const readyAtMs = readyAt(candidate, minActiveMs);
      if (readyAtMs <= view.nowMs)
        return { kind: "switch", to: candidate.model, because: reason(candidate, view.nowMs) };
      askAgainAtMs = askAgainAtMs === null ? readyAtMs : Math.min(askAgainAtMs, readyAtMs);
    }
    for (const device of candidate.devices) reserved.add(device);
  }
  // How much waits, and how much runs, makes no difference here.
  return {
    kind: "stay",
    askAgainAtMs,
    holds: { pressingWeightAtMost: Infinity, loadAtLeast: 0, keptDevices: reserved, leaversMatter: true },
  };
}

function readyAt({ victims }: Candidate, minActiveMs: number): number {
  return Math.max(...victims.map((victim) => victim.awakeSinceMs + minActiveMs), 0);
}

function oldestFirst(candidates: readonly Candidate[]): readonly Candidate[] {
  return candidates.toSorted((a, b) => a.oldestEnqueuedAtMs - b.oldestEnqueuedAtMs);
}

function reason(candidate: Candidate, nowMs: number): string {
  const waitedMs = Math.round(nowMs - candidate.oldestEnqueuedAtMs);
  if (candidate.victims.length === 0) return `${candidate.waiting} wait for it, and nobody has to leave for it`;
  return `of all requests that wait, its oldest has waited longest: ${waitedMs} ms (${candidate.waiting} in its queue)`;
}

function explain({ nowMs, candidates }: PolicyView, minActiveMs: number): readonly Verdict[] {
  const reserved = new Map<DeviceId, string>();
  return oldestFirst(candidates).map((candidate) => {
    const { model, waiting, oldestEnqueuedAtMs, devices, obstacle } = candidate;
    const device = devices.find((id) => reserved.has(id));
    const readyAtMs = readyAt(candidate, minActiveMs);
    let keptBy = obstacle;
    if (keptBy === null && device !== undefined) {
      keptBy = `${reserved.get(device)} has waited longer and comes first on GPU ${device}`;
    } else if (keptBy === null && readyAtMs > nowMs) {
      keptBy = `${candidate.victims.map((victim) => victim.model).join(" and ")} may stay for another ${seconds(readyAtMs - nowMs)}`;
    }
    for (const id of devices) if (!reserved.has(id)) reserved.set(id, model);
    return { model, weighed: `${waiting} wait, the oldest for ${seconds(nowMs - oldestEnqueuedAtMs)}`, keptBy };
  });
}

function seconds(durationMs: number): string {
  return `${(durationMs / 1000).toFixed(1)} s`;
}
