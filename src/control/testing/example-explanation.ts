/** An explanation as a running llmux gives it, for tests of those who read it. */
import type { ExplanationDocument, ModelExplanation, SwitchExplanation } from "../explanation.ts";

/** A model that made room, but for what `extra` says. */
export function explainedModel(id: string, extra: Partial<ModelExplanation> = {}): ModelExplanation {
  return {
    id,
    state: "asleep",
    level: 1,
    since: "2026-01-01T00:00:00.000Z",
    for_s: 12,
    in_flight: 0,
    suspended: 0,
    waiting: 0,
    oldest_wait_s: null,
    wait_bound_s: 34,
    why: "put to sleep to make room for gemma",
    weighed: null,
    kept_by: null,
    ...extra,
  };
}

/** A switch from qwen to gemma, but for what `extra` says. */
export function explainedSwitch(extra: Partial<SwitchExplanation> = {}): SwitchExplanation {
  return {
    started_at: "2026-01-01T00:00:00.000Z",
    ago_s: 14,
    from: ["qwen"],
    to: "gemma",
    redirected_from: null,
    because: "nobody uses qwen",
    compared: [],
    outcome: "done",
    reason: null,
    drain_s: 0.5,
    duration_s: 2,
    suspended: [],
    retried: null,
    ...extra,
  };
}

/** gemma is awake and qwen sleeps, but for what `extra` says. */
export function exampleExplanation(extra: Partial<ExplanationDocument> = {}): ExplanationDocument {
  return {
    at: "2026-01-01T00:00:14.000Z",
    policy: "bounded-wait",
    request_timeout_s: 60,
    waiting: [],
    models: [
      explainedModel("qwen"),
      explainedModel("gemma", {
        state: "awake",
        level: null,
        why: "brought up: nobody uses qwen",
      }),
    ],
    switches: [explainedSwitch()],
    ...extra,
  };
}
