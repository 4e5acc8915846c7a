/** The metrics that are not counted but looked at: what is true at the moment of a scrape. */
import { Gauge, type Registry } from "prom-client";
import type { EngineStateKind } from "../core/engine-state.ts";
import type { ModelSnapshot, Snapshot } from "../core/snapshot.ts";

/** Every state, so that each has its series from the first scrape on. */
const STATES: Readonly<Record<EngineStateKind, true>> = {
  stopped: true,
  starting: true,
  awake: true,
  draining: true,
  "falling asleep": true,
  asleep: true,
  waking: true,
  stopping: true,
  failed: true,
};

/** A figure of each model; null: there is none, and no series. */
interface ModelGauge {
  readonly name: string;
  readonly help: string;
  readonly valueOf: (model: ModelSnapshot) => number | null;
}

const MODEL_GAUGES: readonly ModelGauge[] = [
  {
    name: "llmux_request_queue_depth",
    help: "Requests that wait for their model.",
    valueOf: ({ waiting }) => waiting,
  },
  {
    name: "llmux_model_in_flight",
    help: "Requests in progress.",
    valueOf: ({ inFlight }) => inFlight,
  },
  {
    name: "llmux_requests_suspended",
    help: "Requests in progress that stand still, because their engine was put to sleep around them.",
    valueOf: ({ suspended }) => suspended,
  },
  {
    name: "llmux_wait_bound_seconds",
    help: "How long a request that comes now waits at most by the policy, while nothing fails; absent where it promises no bound.",
    valueOf: ({ boundMs }) => (boundMs === null ? null : boundMs / 1000),
  },
  {
    name: "llmux_model_memory_bytes",
    help: "What a model takes of each of its GPUs while it is awake; absent until that is known.",
    valueOf: ({ memory }) => memory.needBytes,
  },
];

/** Gauges of one registry. */
export class SnapshotGauges {
  readonly #ofModels;
  readonly #states;
  readonly #gpuMemory;
  readonly #gpuMemoryUsed;
  readonly #hostMemory;
  readonly #hostMemoryUsed;

  constructor(registry: Registry) {
    const registers = [registry];
    const gauge = <Label extends string>(name: string, help: string, labelNames: readonly Label[]) =>
      new Gauge({ name, help, labelNames, registers });
    this.#ofModels = MODEL_GAUGES.map(({ name, help, valueOf }) => ({ gauge: gauge(name, help, ["model"]), valueOf }));
    this.#states = gauge("llmux_engine_state", "1 for the state an engine is in, 0 for the others.", [
      "model",
      "state",
    ]);
    this.#gpuMemory = gauge(
      "llmux_gpu_memory_bytes",
      "What engines may use of a GPU in all; absent where its size is not known.",
      ["gpu"],
    );
    this.#gpuMemoryUsed = gauge(
      "llmux_gpu_memory_used_bytes",
      "What the engines that are awake or asleep on a GPU take of it, as far as that is known.",
      ["gpu"],
    );
    this.#hostMemory = gauge(
      "llmux_host_memory_for_sleep_bytes",
      "What models that sleep at level 1 may take of the host's memory in all; absent where there is no limit.",
      [],
    );
    this.#hostMemoryUsed = gauge(
      "llmux_host_memory_for_sleep_used_bytes",
      "What models that sleep at level 1 take of the host's memory, as far as that is known.",
      [],
    );
  }

  /** The gauges show this from now on. */
  show({ models, devices, hostMemory }: Snapshot): void {
    for (const { gauge, valueOf } of this.#ofModels) {
      for (const model of models) {
        const value = valueOf(model);
        if (value === null) gauge.remove({ model: model.id });
        else gauge.set({ model: model.id }, value);
      }
    }
    for (const { id, state } of models) {
      for (const name of Object.keys(STATES)) this.#states.set({ model: id, state: name }, name === state.kind ? 1 : 0);
    }
    for (const { id, memoryBytes, usedBytes } of devices) {
      if (memoryBytes !== null) this.#gpuMemory.set({ gpu: id }, memoryBytes);
      this.#gpuMemoryUsed.set({ gpu: id }, usedBytes);
    }
    if (hostMemory.budgetBytes === null) this.#hostMemory.remove();
    else this.#hostMemory.set(hostMemory.budgetBytes);
    this.#hostMemoryUsed.set(hostMemory.usedBytes);
  }
}
