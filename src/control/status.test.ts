import { deepEqual, equal } from "node:assert/strict";
import { describe, it } from "node:test";
import { failure } from "../base/failure.ts";
import type { ModelSnapshot, Snapshot } from "../core/snapshot.ts";
import { modelSnapshot } from "../core/testing/model-snapshot.ts";
import type { Clock } from "../ports/clock.ts";
import type { EngineDirectory, EngineInfo } from "../ports/engine-directory.ts";
import { type StatusDocument, takeStatus } from "./status.ts";

const clock: Clock = {
  nowMs: () => 100_000,
  epochMs: () => Date.parse("2026-01-01T00:10:00.000Z"),
  after: () => ({ cancel() {} }),
};

function model(id: string, extra: Partial<ModelSnapshot> = {}): ModelSnapshot {
  return modelSnapshot(id, { stateSinceMs: 40_000, ...extra });
}

function status(snapshot: Partial<Snapshot>, info: Partial<EngineInfo> = {}): StatusDocument {
  const directory: EngineDirectory = {
    info: (id) => ({
      model: id,
      pid: null,
      port: null,
      startedAtEpochMs: null,
      progress: null,
      logFile: `/logs/${id}.log`,
      ...info,
    }),
    connection: () => null,
  };
  const full: Snapshot = {
    atMs: 90_000,
    phase: "running",
    models: [],
    switches: [],
    devices: [],
    hostMemory: { budgetBytes: null, usedBytes: 0 },
    ...snapshot,
  };
  return takeStatus({
    snapshot: () => full,
    directory,
    clock,
    promise: { policy: "bounded-wait", requestTimeoutMs: 60_000, noBoundBecause: "drains have no limit" },
    version: "1.2.3",
    pid: 42,
    startedAtEpochMs: Date.parse("2026-01-01T00:00:00.000Z"),
  });
}

function summary(snapshot: Partial<Snapshot>): readonly string[] {
  const { state, summary: text } = status(snapshot);
  return [state, text];
}

describe("the status of a model", () => {
  it("has everything that is known of it, counted from now and not from the last event", () => {
    const starting = model("a", {
      state: { kind: "starting" },
      waiting: 2,
      oldestEnqueuedAtMs: 70_500,
      failuresInRow: 1,
      lastFailure: failure("start_failed", "no memory", { lastOutput: ["oom"] }),
    });
    const process = { pid: 7, port: 8001, startedAtEpochMs: Date.parse("2026-01-01T00:09:00.000Z") };
    const progress = { stage: "loading weights", percent: 50 };
    deepEqual(status({ models: [starting] }, { ...process, progress }).models[0], {
      id: "a",
      state: "starting",
      level: null,
      reason: null,
      retry_in_s: null,
      since: "2026-01-01T00:09:00.000Z",
      for_s: 60,
      progress,
      waiting: 2,
      oldest_wait_s: 29.5,
      wait_bound_s: null,
      waits_at_most_s: 60,
      in_flight: 0,
      suspended: 0,
      priority: "normal",
      pinned: false,
      memory: { need_bytes: null, residue_bytes: 2 * 1024 ** 3, host_bytes: null },
      pid: 7,
      port: 8001,
      process_started_at: "2026-01-01T00:09:00.000Z",
      devices: ["0"],
      sleep_level: 1,
      failures_in_row: 1,
      last_failure: { code: "start_failed", message: "no memory", last_output: ["oom"] },
      log_file: "/logs/a.log",
    });
  });

  it("tells what the policy promises from what the request timeout does", () => {
    const { models, no_bound_because, request_timeout_s } = status({
      models: [model("a", { boundMs: 34_000 }), model("b", { boundMs: 250_000 }), model("c", { boundMs: null })],
    });
    deepEqual(
      models.map(({ wait_bound_s, waits_at_most_s }) => [wait_bound_s, waits_at_most_s]),
      [
        [34, 34],
        [250, 60],
        [null, 60],
      ],
    );
    equal(request_timeout_s, 60);
    equal(no_bound_because, "drains have no limit");
    equal(status({ models: [model("a", { boundMs: 34_000 })] }).no_bound_because, null);
  });

  it("has what it takes of memory, how it ranks, and what stands still", () => {
    const [first] = status({
      models: [
        model("a", {
          inFlight: 3,
          suspended: 3,
          priority: "high",
          pinned: true,
          memory: { needBytes: 6, residueBytes: 1, residueIsMeasured: false, hostBytes: 4 },
        }),
      ],
    }).models;
    deepEqual(
      [first?.in_flight, first?.suspended, first?.priority, first?.pinned, first?.memory],
      [3, 3, "high", true, { need_bytes: 6, residue_bytes: 1, host_bytes: 4 }],
    );
  });

  it("names the level where there is one", () => {
    const levels = status({
      models: [
        model("a", { state: { kind: "asleep", level: 2 } }),
        model("b", { state: { kind: "draining", to: 3 } }),
        model("c", { state: { kind: "falling asleep", to: 1 } }),
        model("d", { state: { kind: "waking", from: 1 } }),
        model("e", { state: { kind: "awake" } }),
      ],
    }).models.map(({ level }) => level);
    deepEqual(levels, [2, 3, 1, 1, null]);
  });

  it("says why a model failed and when it will be tried again, without secrets", () => {
    const broken = failure("start_failed", "API_KEY=abc is wrong");
    const { models } = status({
      models: [
        model("a", { state: { kind: "failed", failure: broken, retryAtMs: 104_000 } }),
        model("b", { state: { kind: "failed", failure: broken, retryAtMs: 99_000 } }),
        model("c", { state: { kind: "stopping", because: broken } }),
      ],
    });
    deepEqual(
      models.map(({ reason, retry_in_s }) => [reason, retry_in_s]),
      [
        ["API_KEY=[redacted] is wrong", 4],
        ["API_KEY=[redacted] is wrong", 0],
        ["API_KEY=[redacted] is wrong", null],
      ],
    );
  });
});

describe("the status of the whole", () => {
  const awake = model("a", { state: { kind: "awake" } });

  it("is idle, active, switching, shutting down, in words", () => {
    deepEqual(summary({ models: [model("a")] }), ["idle", "idle"]);
    deepEqual(summary({ models: [awake, model("b")] }), ["active", "active a"]);
    const change = { from: ["c"], to: "b", phase: "draining", startedAtMs: 99_000, cause: "requests" } as const;
    deepEqual(summary({ switches: [change] }), ["switching", "switching c → b (draining)"]);
    deepEqual(summary({ switches: [{ ...change, from: [] }] }), ["switching", "switching → b (draining)"]);
    deepEqual(summary({ models: [awake], switches: [change] }), ["switching", "active a; switching c → b (draining)"]);
    const busy = model("a", { inFlight: 2 });
    deepEqual(summary({ phase: "shutting down", models: [busy] }), ["shutting down", "shutting down, 2 in flight"]);
    deepEqual(summary({ phase: "finished" }), ["stopped", "stopped"]);
  });

  it("has the memory of the GPUs, and of the host for those who sleep", () => {
    const { gpus, host_memory_for_sleep } = status({
      devices: [
        { id: "0", memoryBytes: 80, usedBytes: 60 },
        { id: "1", memoryBytes: null, usedBytes: 5 },
      ],
      hostMemory: { budgetBytes: 64, usedBytes: 12 },
    });
    deepEqual(gpus, [
      { id: "0", memory_bytes: 80, used_bytes: 60 },
      { id: "1", memory_bytes: null, used_bytes: 5 },
    ]);
    deepEqual(host_memory_for_sleep, { budget_bytes: 64, used_bytes: 12 });
  });

  it("says since when it runs and how long a switch has taken so far", () => {
    const change = { from: [], to: "b", phase: "waking", startedAtMs: 98_500, cause: "requests" } as const;
    const { uptime_s, started_at, switches } = status({ switches: [change] });
    equal(uptime_s, 600);
    equal(started_at, "2026-01-01T00:00:00.000Z");
    deepEqual(switches, [{ from: [], to: "b", phase: "waking", for_s: 1.5 }]);
  });
});
