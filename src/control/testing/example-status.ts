/** A status as a running llmux gives it, for tests of those who read it. */
import type { ModelStatus, StatusDocument } from "../status.ts";

/** A model that sleeps, but for what `extra` says. */
export function exampleModel(extra: Partial<ModelStatus> = {}): ModelStatus {
  return {
    id: "qwen",
    state: "asleep",
    level: 1,
    reason: null,
    retry_in_s: null,
    since: "2026-01-01T00:00:00.000Z",
    for_s: 5,
    progress: null,
    waiting: 0,
    oldest_wait_s: null,
    wait_bound_s: 34,
    waits_at_most_s: 34,
    in_flight: 0,
    suspended: 0,
    priority: "normal",
    pinned: false,
    memory: { need_bytes: 6 * 1024 ** 3, residue_bytes: 1024 ** 3, host_bytes: 4 * 1024 ** 3 },
    pid: 77,
    port: 8001,
    process_started_at: null,
    devices: ["0"],
    sleep_level: 1,
    failures_in_row: 0,
    last_failure: null,
    log_file: "/x",
    ...extra,
  };
}

/** A llmux that does nothing, with one model that sleeps, but for what `extra` says. */
export function exampleStatus(extra: Partial<StatusDocument> = {}): StatusDocument {
  return {
    version: "9.9.9",
    pid: 42,
    started_at: "2026-01-01T00:00:00.000Z",
    uptime_s: 60,
    state: "idle",
    summary: "idle",
    active: [],
    switches: [],
    policy: "bounded-wait",
    request_timeout_s: 60,
    no_bound_because: null,
    gpus: [{ id: "0", memory_bytes: 8 * 1024 ** 3, used_bytes: 1024 ** 3 }],
    host_memory_for_sleep: { budget_bytes: 64 * 1024 ** 3, used_bytes: 4 * 1024 ** 3 },
    models: [exampleModel()],
    ...extra,
  };
}
