import { deepEqual, equal, match } from "node:assert/strict";
import { describe, it } from "node:test";
import { failure } from "../base/failure.ts";
import type { EngineState, EngineStateKind } from "../core/engine-state.ts";
import type { JournalEvent } from "../core/journal.ts";
import type { ModelSnapshot, Snapshot } from "../core/snapshot.ts";
import type { AccessRecord } from "../ports/access-record.ts";
import { Metrics } from "./metrics.ts";
import { modelSnapshot } from "./testing/model-snapshot.ts";

const broken = failure("wake_failed", "out of memory");

function metricsFor(models: readonly ModelSnapshot[] = [modelSnapshot("a"), modelSnapshot("b")]) {
  const snapshot: Snapshot = {
    atMs: 0,
    phase: "running",
    models,
    switches: [],
    devices: [],
    hostMemory: { budgetBytes: null, usedBytes: 0 },
  };
  const metrics = new Metrics({
    models: models.map(({ id }) => id),
    version: "1.2.3",
    snapshot: () => snapshot,
    processMetrics: false,
  });
  const record = (event: JournalEvent, atMs = 0): void => metrics.record({ ...event, atMs });
  const move = (model: string, from: EngineStateKind, to: EngineState, atMs: number): void =>
    record({ kind: "state changed", model, from, to, lastedMs: 0 }, atMs);
  /** Samples whose name is `name`, or `name` and a suffix, without buckets. */
  const samples = async (name: string): Promise<readonly string[]> => {
    const { body } = await metrics.page();
    return body.split("\n").filter((line) => line.startsWith(name) && !line.includes("_bucket{"));
  };
  return { metrics, record, move, samples };
}

function access(extra: Partial<AccessRecord>): AccessRecord {
  return {
    requestId: "r1",
    method: "POST",
    route: "/v1/chat/completions",
    model: "a",
    status: 200,
    outcome: "served",
    durationMs: 1500,
    arrivedAtEpochMs: 0,
    waitedMs: 0,
    promptTokens: null,
    outputTokens: null,
    bytesIn: 10,
    bytesOut: 20,
    ...extra,
  };
}

describe("metrics of switches", () => {
  it("count a switch that succeeded, with its duration and its average cost", async () => {
    const { record, samples } = metricsFor();
    record({ kind: "switch ended", from: ["a"], to: "b", durationMs: 2500, costAverageMs: 1250 });
    deepEqual(await samples("llmux_switch_total"), ['llmux_switch_total{from="a",to="b",result="success"} 1']);
    deepEqual(await samples("llmux_switch_duration_seconds"), [
      'llmux_switch_duration_seconds_sum{from="a",to="b"} 2.5',
      'llmux_switch_duration_seconds_count{from="a",to="b"} 1',
    ]);
    deepEqual(await samples("llmux_switch_cost_ema_seconds"), ['llmux_switch_cost_ema_seconds{from="a",to="b"} 1.25']);
  });

  it("name the side that leaves idle when nobody was awake, and do not count a drain there", async () => {
    const { record, samples } = metricsFor();
    record({ kind: "drain ended", from: [], to: "b", drainMs: 0 });
    record({ kind: "switch failed", from: [], to: "b", durationMs: 10, failure: broken });
    deepEqual(await samples("llmux_switch_total"), ['llmux_switch_total{from="idle",to="b",result="failure"} 1']);
    deepEqual(await samples("llmux_switch_drain_duration_seconds"), []);
    deepEqual(await samples("llmux_switch_duration_seconds"), []);
  });

  it("give a switch away from several models one name, whatever their order", async () => {
    const { record, samples } = metricsFor([modelSnapshot("a"), modelSnapshot("b"), modelSnapshot("c")]);
    record({ kind: "switch cancelled", from: ["b", "a"], to: "c", because: "nobody waits" });
    record({ kind: "switch cancelled", from: ["a", "b"], to: "c", because: "nobody waits" });
    deepEqual(await samples("llmux_switch_total"), ['llmux_switch_total{from="a+b",to="c",result="cancelled"} 2']);
  });

  it("stop naming combinations of models when there are too many", async () => {
    const models = Array.from({ length: 40 }, (_, index) => modelSnapshot(`m${index}`));
    const { record, samples } = metricsFor([...models, modelSnapshot("z")]);
    for (const one of models) {
      for (const other of models) {
        if (one !== other) {
          record({ kind: "switch cancelled", from: [one.id, other.id], to: "z", because: "nobody waits" });
        }
      }
    }
    const lines = await samples("llmux_switch_total");
    equal(lines.length, 501);
    equal(lines.at(-1), 'llmux_switch_total{from="several",to="z",result="cancelled"} 560');
  });

  it("measure the drain", async () => {
    const { record, samples } = metricsFor();
    record({ kind: "drain ended", from: ["a"], to: "b", drainMs: 40 });
    deepEqual(await samples("llmux_switch_drain_duration_seconds"), [
      'llmux_switch_drain_duration_seconds_sum{from="a",to="b"} 0.04',
      'llmux_switch_drain_duration_seconds_count{from="a",to="b"} 1',
    ]);
  });
});

describe("metrics of models", () => {
  it("measure how long a model was awake, up to the drain that ended it", async () => {
    const { move, samples } = metricsFor();
    move("a", "starting", { kind: "awake" }, 1_000);
    move("a", "awake", { kind: "draining", to: 1 }, 5_000);
    move("a", "draining", { kind: "awake" }, 6_000);
    move("a", "awake", { kind: "draining", to: 1 }, 11_000);
    move("a", "draining", { kind: "draining", to: 3 }, 12_000);
    move("a", "draining", { kind: "falling asleep", to: 1 }, 13_000);
    move("a", "falling asleep", { kind: "asleep", level: 1 }, 14_000);
    deepEqual(await samples("llmux_model_active_duration_seconds"), [
      'llmux_model_active_duration_seconds_sum{model="a"} 10',
      'llmux_model_active_duration_seconds_count{model="a"} 1',
    ]);
  });

  it("end the time awake at a crash, and do not count a start that failed", async () => {
    const { move, samples } = metricsFor();
    move("a", "starting", { kind: "awake" }, 1_000);
    move("a", "awake", { kind: "stopping", because: broken }, 3_000);
    move("a", "stopping", { kind: "failed", failure: broken, retryAtMs: 9_000 }, 4_000);
    move("b", "stopped", { kind: "starting" }, 1_000);
    move("b", "starting", { kind: "stopping", because: broken }, 3_000);
    deepEqual(await samples("llmux_model_active_duration_seconds"), [
      'llmux_model_active_duration_seconds_sum{model="a"} 2',
      'llmux_model_active_duration_seconds_count{model="a"} 1',
    ]);
  });

  it("read queues, requests in progress and states from the snapshot at the scrape", async () => {
    const { samples } = metricsFor([
      modelSnapshot("a", { waiting: 3, state: { kind: "asleep", level: 2 } }),
      modelSnapshot("b", { inFlight: 2, state: { kind: "awake" } }),
    ]);
    deepEqual(await samples("llmux_request_queue_depth"), [
      'llmux_request_queue_depth{model="a"} 3',
      'llmux_request_queue_depth{model="b"} 0',
    ]);
    deepEqual(await samples("llmux_model_in_flight"), [
      'llmux_model_in_flight{model="a"} 0',
      'llmux_model_in_flight{model="b"} 2',
    ]);
    const states = await samples("llmux_engine_state");
    equal(states.length, 18);
    deepEqual(
      states.filter((line) => line.endsWith(" 1")),
      ['llmux_engine_state{model="a",state="asleep"} 1', 'llmux_engine_state{model="b",state="awake"} 1'],
    );
  });

  it("count crashes from zero, so that the first one is seen as a rise", async () => {
    const { record, samples } = metricsFor();
    record({ kind: "engine crashed", model: "b", during: "awake", failure: failure("engine_crashed", "exit code 1") });
    deepEqual(await samples("llmux_engine_crashes_total"), [
      'llmux_engine_crashes_total{model="a"} 0',
      'llmux_engine_crashes_total{model="b"} 1',
    ]);
  });
});

describe("metrics of requests", () => {
  it("count requests and their durations by model and status", async () => {
    const { metrics, samples } = metricsFor();
    metrics.recordAccess(access({}));
    metrics.recordAccess(access({ status: 504, outcome: "refused", durationMs: 60_000 }));
    deepEqual(await samples("llmux_requests_total"), [
      'llmux_requests_total{model="a",status="200"} 1',
      'llmux_requests_total{model="a",status="504"} 1',
    ]);
    deepEqual(await samples('llmux_request_duration_seconds_sum{model="a",status="200"}'), [
      'llmux_request_duration_seconds_sum{model="a",status="200"} 1.5',
    ]);
  });

  it("never make a label of a name that is not configured or a status that is none", async () => {
    const { metrics, samples } = metricsFor();
    metrics.recordAccess(access({ model: "nonsense-1", status: 404 }));
    metrics.recordAccess(access({ model: null, status: 404 }));
    metrics.recordAccess(access({ model: "a", status: 0 }));
    deepEqual(await samples("llmux_requests_total"), [
      'llmux_requests_total{model="",status="404"} 2',
      'llmux_requests_total{model="a",status=""} 1',
    ]);
  });

  it("measure the wait of those that were let in and count those that were not", async () => {
    const { record, samples } = metricsFor();
    record({ kind: "request granted", model: "a", waiter: 1, waitedMs: 0 });
    record({ kind: "request granted", model: "a", waiter: 2, waitedMs: 3_000 });
    record({ kind: "request refused", model: "a", waiter: 3, waitedMs: 9_000, failure: broken });
    deepEqual(await samples("llmux_request_queue_wait_seconds"), [
      'llmux_request_queue_wait_seconds_sum{model="a"} 3',
      'llmux_request_queue_wait_seconds_count{model="a"} 2',
    ]);
    deepEqual(await samples("llmux_requests_refused_total"), [
      'llmux_requests_refused_total{model="a",reason="wake_failed"} 1',
    ]);
  });
});

describe("the page", () => {
  it("has the types that dashboards expect", async () => {
    const { metrics } = metricsFor();
    const { body, contentType } = await metrics.page();
    match(contentType, /^text\/plain; version=0\.0\.4/);
    const types: Readonly<Record<string, string>> = {
      llmux_switch_total: "counter",
      llmux_switch_duration_seconds: "histogram",
      llmux_switch_drain_duration_seconds: "histogram",
      llmux_model_active_duration_seconds: "histogram",
      llmux_switch_cost_ema_seconds: "gauge",
      llmux_request_queue_depth: "gauge",
      llmux_request_queue_wait_seconds: "histogram",
      llmux_model_in_flight: "gauge",
      llmux_requests_total: "counter",
      llmux_request_duration_seconds: "histogram",
    };
    for (const [name, type] of Object.entries(types)) match(body, new RegExp(`^# TYPE ${name} ${type}$`, "m"));
    match(body, /^llmux_build_info\{version="1\.2\.3",node="v\d+/m);
  });

  it("has the figures of the process too unless told otherwise", async () => {
    const snapshot: Snapshot = {
      atMs: 0,
      phase: "running",
      models: [],
      switches: [],
      devices: [],
      hostMemory: { budgetBytes: null, usedBytes: 0 },
    };
    const { body } = await new Metrics({ models: [], version: "1", snapshot: () => snapshot }).page();
    match(body, /^process_resident_memory_bytes \d/m);
  });
});
