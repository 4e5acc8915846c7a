import { deepEqual, equal, match } from "node:assert/strict";
import { describe, it } from "node:test";
import { failure } from "../base/failure.ts";
import type { EngineState, EngineStateKind } from "../core/engine-state.ts";
import type { JournalEvent } from "../core/journal.ts";
import { boundedWait } from "../core/policies/bounded-wait.ts";
import type { ModelSnapshot, Snapshot } from "../core/snapshot.ts";
import { modelSnapshot } from "../core/testing/model-snapshot.ts";
import { SchedulerOnStage } from "../core/testing/scheduler-on-stage.ts";
import { Metrics } from "./metrics.ts";
import { accessRecord } from "./testing/access-record.ts";

const broken = failure("wake_failed", "out of memory");

function metricsFor(
  models: readonly ModelSnapshot[] = [modelSnapshot("a"), modelSnapshot("b")],
  extra: Partial<Snapshot> = {},
) {
  const snapshot: Snapshot = {
    atMs: 0,
    phase: "running",
    models,
    switches: [],
    devices: [],
    hostMemory: { budgetBytes: null, usedBytes: 0 },
    ...extra,
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

describe("metrics of switches that do not go straight", () => {
  it("count a switch under the model that came, and that it was redirected", async () => {
    const { metrics, samples } = metricsFor();
    const policy = boundedWait({ targetWaitMs: 25_000, maxWaitMs: 120_000 });
    const stage = new SchedulerOnStage({ models: { a: {}, b: {}, c: {} }, policy });
    stage.request("a", 1).awake("a").pass(60_000);
    // b begins; while a is drained, ten come for c.
    stage.request("b", 2).pass(30_000);
    stage
      .request("c", 11, 12, 13, 14, 15, 16, 17, 18, 19, 20)
      .pass(1_000)
      .release(1)
      .asleep("a")
      .pass(2_000)
      .awake("c");
    for (const entry of stage.journal) metrics.record(entry);
    deepEqual(await samples("llmux_switches_redirected_total"), ["llmux_switches_redirected_total 1"]);
    deepEqual(await samples("llmux_switch_total"), [
      'llmux_switch_total{from="idle",to="a",result="success"} 1',
      'llmux_switch_total{from="a",to="c",result="success"} 1',
    ]);
    const drains = await samples("llmux_switch_drain_duration_seconds_count");
    deepEqual(drains, ['llmux_switch_drain_duration_seconds_count{from="a",to="c"} 1']);
  });

  it("count a wake that is tried again, from zero, and the switch under all who left for it", async () => {
    const { record, samples } = metricsFor();
    const reason = failure("out_of_memory", "2 GiB are missing");
    record({ kind: "wake retried", model: "b", evicting: "x", failure: reason });
    record({ kind: "switch ended", from: ["x", "a"], to: "b", durationMs: 2500, costAverageMs: 1250 });
    deepEqual(await samples("llmux_wakes_retried_total"), [
      'llmux_wakes_retried_total{model="a"} 0',
      'llmux_wakes_retried_total{model="b"} 1',
    ]);
    deepEqual(await samples("llmux_switch_total"), ['llmux_switch_total{from="a+x",to="b",result="success"} 1']);
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

  it("tell the bound on waiting, what stands still and what a model needs, where there is such a thing", async () => {
    const memory = { needBytes: 6_000, residueBytes: 1_000, residueIsMeasured: false, hostBytes: null };
    const { samples } = metricsFor([modelSnapshot("a", { boundMs: 34_500, suspended: 2, memory }), modelSnapshot("b")]);
    deepEqual(await samples("llmux_wait_bound_seconds"), ['llmux_wait_bound_seconds{model="a"} 34.5']);
    deepEqual(await samples("llmux_model_memory_bytes"), ['llmux_model_memory_bytes{model="a"} 6000']);
    deepEqual(await samples("llmux_requests_suspended"), [
      'llmux_requests_suspended{model="a"} 2',
      'llmux_requests_suspended{model="b"} 0',
    ]);
  });

  it("forget a bound that there is no more", async () => {
    const models = [modelSnapshot("a", { boundMs: 34_500 })];
    const { samples } = metricsFor(models);
    equal((await samples("llmux_wait_bound_seconds")).length, 1);
    models[0] = modelSnapshot("a");
    deepEqual(await samples("llmux_wait_bound_seconds"), []);
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

describe("metrics of memory", () => {
  it("tell what engines may use of each GPU and what they do use", async () => {
    const { samples } = metricsFor([], {
      devices: [
        { id: "0", memoryBytes: 80_000, usedBytes: 60_000 },
        { id: "1", memoryBytes: null, usedBytes: 500 },
      ],
    });
    deepEqual(await samples("llmux_gpu_memory"), [
      'llmux_gpu_memory_bytes{gpu="0"} 80000',
      'llmux_gpu_memory_used_bytes{gpu="0"} 60000',
      'llmux_gpu_memory_used_bytes{gpu="1"} 500',
    ]);
  });

  it("tell the same of the host, for those who sleep at level 1", async () => {
    const limited = metricsFor([], { hostMemory: { budgetBytes: 64_000, usedBytes: 12_000 } });
    deepEqual(await limited.samples("llmux_host_memory"), [
      "llmux_host_memory_for_sleep_bytes 64000",
      "llmux_host_memory_for_sleep_used_bytes 12000",
    ]);
    const unlimited = metricsFor([], { hostMemory: { budgetBytes: null, usedBytes: 12_000 } });
    deepEqual(await unlimited.samples("llmux_host_memory"), ["llmux_host_memory_for_sleep_used_bytes 12000"]);
  });
});

describe("metrics of requests", () => {
  it("count requests and their durations by model and status", async () => {
    const { metrics, samples } = metricsFor();
    metrics.recordAccess(accessRecord({}));
    metrics.recordAccess(accessRecord({ status: 504, outcome: "refused", durationMs: 60_000 }));
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
    metrics.recordAccess(accessRecord({ model: "nonsense-1", status: 404 }));
    metrics.recordAccess(accessRecord({ model: null, status: 404 }));
    metrics.recordAccess(accessRecord({ model: "a", status: 0 }));
    deepEqual(await samples("llmux_requests_total"), [
      'llmux_requests_total{model="",status="404"} 2',
      'llmux_requests_total{model="a",status=""} 1',
    ]);
  });

  it("lose nobody of many that were let in between two scrapes", async () => {
    const { record, samples } = metricsFor();
    for (let waiter = 1; waiter <= 1_000; waiter += 1) {
      record({ kind: "request granted", model: waiter % 2 === 0 ? "a" : "b", waiter, waitedMs: 1_000 });
    }
    deepEqual(await samples("llmux_request_queue_wait_seconds"), [
      'llmux_request_queue_wait_seconds_sum{model="b"} 500',
      'llmux_request_queue_wait_seconds_count{model="b"} 500',
      'llmux_request_queue_wait_seconds_sum{model="a"} 500',
      'llmux_request_queue_wait_seconds_count{model="a"} 500',
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
    const tooLong = failure("wait_too_long", "it would wait for 90 s");
    record({
      kind: "request refused",
      model: "a",
      waiter: 4,
      waitedMs: 0,
      failure: failure("queue_full", "2000 wait"),
    });
    record({ kind: "request refused", model: "a", waiter: 5, waitedMs: 0, failure: tooLong });
    deepEqual(await samples("llmux_requests_refused_total"), [
      'llmux_requests_refused_total{model="a",reason="wake_failed"} 1',
      'llmux_requests_refused_total{model="a",reason="queue_full"} 1',
      'llmux_requests_refused_total{model="a",reason="wait_too_long"} 1',
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
      llmux_wait_bound_seconds: "gauge",
      llmux_gpu_memory_bytes: "gauge",
      llmux_wakes_retried_total: "counter",
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
