/** What the log says when an engine goes from one state to another. */
import type { JournalEntry } from "../core/journal.ts";
import { failureFields, type LogEvent, rounded } from "./log-event.ts";

/** One event for each move; `took_ms` is how long the state lasted that it leaves, where that is what one wants to know. */
export function stateEvent(entry: Extract<JournalEntry, { kind: "state changed" }>): LogEvent {
  const { model, from, to } = entry;
  const took_ms = rounded(entry.lastedMs);
  switch (to.kind) {
    case "starting":
      return { level: "info", event: "engine starting", fields: { model } };
    case "awake":
      if (from === "draining") return { level: "info", event: "drain called off", fields: { model, took_ms } };
      return { level: "info", event: "model awake", fields: { model, after: from, took_ms } };
    case "draining":
      return { level: "debug", event: "model draining", fields: { model, sleep_level: to.to } };
    case "falling asleep":
      return { level: "debug", event: "model falling asleep", fields: { model, sleep_level: to.to } };
    case "asleep":
      return { level: "info", event: "model asleep", fields: { model, sleep_level: to.level, took_ms } };
    case "waking":
      return { level: "debug", event: "model waking", fields: { model, sleep_level: to.from } };
    case "stopping": {
      if (to.because === null) return { level: "info", event: "engine stopping", fields: { model, during: from } };
      // The failure itself has an event of its own, with the engine's output.
      const { code, message: reason } = to.because;
      return { level: "warn", event: "engine stopping", fields: { model, during: from, code, reason } };
    }
    case "stopped":
      return { level: "info", event: "engine stopped", fields: { model, took_ms } };
    case "failed": {
      const { last_output: _, ...reason } = failureFields(to.failure);
      const retry_in_ms = rounded(to.retryAtMs - entry.atMs);
      return { level: "warn", event: "model failed", fields: { model, ...reason, retry_in_ms } };
    }
  }
  return to satisfies never;
}
