/** The Prometheus metrics: counted from the journal and the gateway's access records, gauges read from a snapshot. */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";
import type { JournalEntry } from "../core/journal.ts";
import type { ModelId } from "../core/model.ts";
import type { Snapshot } from "../core/snapshot.ts";
import { fromLabel } from "../core/switch.ts";
import type { AccessRecord } from "../ports/access-record.ts";
import { ActiveTimes } from "./active-times.ts";
import { SnapshotGauges } from "./snapshot-gauges.ts";

/** What the metrics are made from. */
export interface MetricsOptions {
  /** The configured models: no other name becomes the value of a label. */
  readonly models: readonly ModelId[];
  readonly version: string;
  /** Read at each scrape. */
  readonly snapshot: () => Snapshot;
  /** Whether the figures of the process itself (CPU, memory, garbage collection) are there too; default true. */
  readonly processMetrics?: boolean;
}

/** One scrape. */
export interface MetricsPage {
  readonly contentType: string;
  readonly body: string;
}

/** Victims are combinations of models; past this many of them the further ones are counted as `FROM_SEVERAL`. */
const FROM_LABELS_MAX = 500;
const FROM_SEVERAL = "several";

/** From a level-1 wake of a small model to a cold start of a large one, in s. */
const SWITCH_BUCKETS = [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300, 600];
/** From an empty drain to a long stream, in s. */
const DRAIN_BUCKETS = [0.005, 0.05, 0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600];
/** From no wait at all to a cold start, in s. */
const WAIT_BUCKETS = [0.001, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300];
/** From an embedding to a long generation, in s. */
const REQUEST_BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600];
/** From a thrashing switch to a day, in s. */
const ACTIVE_BUCKETS = [1, 5, 10, 30, 60, 120, 300, 600, 1_800, 3_600, 14_400, 43_200, 86_400];

/** So many are counted together at most: after a pause, that takes some 40 µs. */
const GRANTED_MAX = 64;

/** One registry; give it every entry of the journal and every access record. */
export class Metrics {
  readonly #registry = new Registry();
  readonly #models: ReadonlySet<ModelId>;
  readonly #fromLabels = new Set<string>();
  readonly #activeTimes = new ActiveTimes();
  readonly #instruments;
  readonly #gauges: SnapshotGauges;
  readonly #snapshot: () => Snapshot;
  #granted: Extract<JournalEntry, { kind: "request granted" }>[] = [];

  constructor(options: MetricsOptions) {
    this.#models = new Set(options.models);
    this.#instruments = instruments(this.#registry);
    this.#gauges = new SnapshotGauges(this.#registry);
    this.#snapshot = options.snapshot;
    // From zero, so that the first one is seen as a rise.
    for (const model of options.models) {
      this.#instruments.crashes.inc({ model }, 0);
      this.#instruments.retriedWakes.inc({ model }, 0);
    }
    const info = new Gauge({
      name: "llmux_build_info",
      help: "Version of llmux and of the Node.js it runs on; always 1.",
      labelNames: ["version", "node"],
      registers: [this.#registry],
    });
    info.set({ version: options.version, node: process.version }, 1);
    if (options.processMetrics ?? true) {
      collectDefaultMetrics({ register: this.#registry, eventLoopMonitoringPrecision: 50 });
    }
  }

  /** Counts what the journal says. An entry must not change any more. */
  record(entry: JournalEntry): void {
    const to = this.#instruments;
    switch (entry.kind) {
      case "request granted":
        // A request is sent when this returns; what happens for each is counted for several at once.
        if (this.#granted.push(entry) >= GRANTED_MAX) this.#countGranted();
        return;
      case "request refused":
        to.refusals.inc({ model: entry.model, reason: entry.failure.code });
        return;
      case "state changed": {
        const activeMs = this.#activeTimes.onStateChanged(entry);
        if (activeMs !== null) to.modelActive.observe({ model: entry.model }, activeMs / 1000);
        return;
      }
      case "drain ended":
        if (entry.from.length > 0) to.drain.observe(this.#sides(entry), entry.drainMs / 1000);
        return;
      case "switch ended": {
        const sides = this.#sides(entry);
        to.switches.inc({ ...sides, result: "success" });
        to.switchDuration.observe(sides, entry.durationMs / 1000);
        to.switchCost.set(sides, entry.costAverageMs / 1000);
        return;
      }
      case "switch failed":
        to.switches.inc({ ...this.#sides(entry), result: "failure" });
        return;
      case "switch cancelled":
        to.switches.inc({ ...this.#sides(entry), result: "cancelled" });
        return;
      case "switch redirected":
        to.redirected.inc();
        return;
      case "wake retried":
        to.retriedWakes.inc({ model: entry.model });
        return;
      case "engine crashed":
        to.crashes.inc({ model: entry.model });
        return;
      case "request queued":
      case "request abandoned":
      case "lease released":
      case "lease revoked":
      case "switch started":
      case "requests suspended":
      case "memory differs":
      case "sleep failed":
      case "stop failed":
      case "shutdown started":
      case "shutdown ended":
        return;
    }
  }

  #countGranted(): void {
    for (const { model, waitedMs } of this.#granted) {
      this.#instruments.queueWait.observe({ model }, waitedMs / 1000);
    }
    this.#granted = [];
  }

  /** Counts one finished request. */
  recordAccess({ model, status, durationMs }: AccessRecord): void {
    const known = model !== null && this.#models.has(model) ? model : "";
    const labels = { model: known, status: statusLabel(status) };
    this.#instruments.requests.inc(labels);
    this.#instruments.requestDuration.observe(labels, durationMs / 1000);
  }

  /** The text that Prometheus reads. */
  async page(): Promise<MetricsPage> {
    this.#gauges.show(this.#snapshot());
    this.#countGranted();
    return { contentType: this.#registry.contentType, body: await this.#registry.metrics() };
  }

  #sides({ from, to }: { readonly from: readonly ModelId[]; readonly to: ModelId }): { from: string; to: ModelId } {
    const label = fromLabel(from.toSorted());
    if (from.length > 1 && !this.#fromLabels.has(label)) {
      if (this.#fromLabels.size >= FROM_LABELS_MAX) return { from: FROM_SEVERAL, to };
      this.#fromLabels.add(label);
    }
    return { from: label, to };
  }
}

function statusLabel(status: number): string {
  return Number.isInteger(status) && status >= 100 && status <= 599 ? String(status) : "";
}

function instruments(registry: Registry) {
  const registers = [registry];
  const sides = ["from", "to"] as const;
  const request = ["model", "status"] as const;
  const model = ["model"] as const;
  const histogram = <Label extends string>(name: string, help: string, labels: readonly Label[], buckets: number[]) =>
    new Histogram({ name, help, labelNames: labels, buckets, registers });
  const counter = <Label extends string>(name: string, help: string, labels: readonly Label[]) =>
    new Counter({ name, help, labelNames: labels, registers });
  return {
    switches: counter("llmux_switch_total", "Switches that came to an end, by result: success, failure or cancelled.", [
      ...sides,
      "result",
    ]),
    switchDuration: histogram(
      "llmux_switch_duration_seconds",
      "Time from the decision to switch until the model was awake: drain, sleep and wake.",
      sides,
      SWITCH_BUCKETS,
    ),
    drain: histogram(
      "llmux_switch_drain_duration_seconds",
      "Time for which a switch waited until the running requests of those who leave had ended.",
      sides,
      DRAIN_BUCKETS,
    ),
    switchCost: new Gauge({
      name: "llmux_switch_cost_ema_seconds",
      help: "Moving average of what a switch costs, drain left out.",
      labelNames: sides,
      registers,
    }),
    modelActive: histogram(
      "llmux_model_active_duration_seconds",
      "Time for which a model was awake, until its drain began or its engine ended.",
      model,
      ACTIVE_BUCKETS,
    ),
    queueWait: histogram(
      "llmux_request_queue_wait_seconds",
      "Time a request waited before it was let in to its model; 0 when it was awake.",
      model,
      WAIT_BUCKETS,
    ),
    refusals: counter("llmux_requests_refused_total", "Requests that were not let in to their model, by reason.", [
      ...model,
      "reason",
    ]),
    requests: counter("llmux_requests_total", "Requests that are over, by HTTP status.", request),
    requestDuration: histogram(
      "llmux_request_duration_seconds",
      "Time from a request's headers to the last byte of its answer.",
      request,
      REQUEST_BUCKETS,
    ),
    redirected: new Counter({
      name: "llmux_switches_redirected_total",
      help: "Switches after whose drain another model was woken than the one for which they began.",
      registers,
    }),
    retriedWakes: counter(
      "llmux_wakes_retried_total",
      "Wakes and starts that found too little GPU memory and were tried again when one more model had made room.",
      model,
    ),
    crashes: counter("llmux_engine_crashes_total", "Engines that ended without being asked to.", model),
  };
}
