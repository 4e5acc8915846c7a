/** The counters behind `/metrics` and `/load`, in Prometheus' text format under vLLM's names. */
import type { FinishReason } from "./decoder.ts";
import type { Engine } from "./engine.ts";

const tokenBucketSeconds = [
  0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 10, 30, 60, 120,
];

const transitionBucketSeconds = [0.01, 0.1, 1, 10, 30, 60, 120, 300, 600];

class Histogram {
  readonly #bucketSeconds: readonly number[];
  readonly #counts: number[];
  #sum = 0;
  #count = 0;

  constructor(bucketSeconds: readonly number[] = tokenBucketSeconds) {
    this.#bucketSeconds = bucketSeconds;
    this.#counts = bucketSeconds.map(() => 0);
  }

  observe(seconds: number): void {
    this.#sum += seconds;
    this.#count += 1;
    for (const [at, limit] of this.#bucketSeconds.entries())
      if (seconds <= limit) this.#counts[at] = (this.#counts[at] ?? 0) + 1;
  }

  lines(name: string, labels: string): string[] {
    const buckets = this.#bucketSeconds.map(
      (limit, at) => `${name}_bucket{${labels},le="${limit}"} ${this.#counts[at] ?? 0}`,
    );
    return [
      ...buckets,
      `${name}_bucket{${labels},le="+Inf"} ${this.#count}`,
      `${name}_sum{${labels}} ${this.#sum}`,
      `${name}_count{${labels}} ${this.#count}`,
    ];
  }
}

/** What one engine has done so far. */
export class Meters {
  readonly #modelName: string;
  readonly #firstToken = new Histogram();
  readonly #wholeRequest = new Histogram();
  readonly #successes: Record<FinishReason, number> = { stop: 0, length: 0, abort: 0 };
  readonly #transitions = new Map<"sleep" | "wake", { readonly took: Histogram; inFlight: number }>();
  #promptTokens = 0;
  #generatedTokens = 0;

  constructor(modelName: string) {
    this.#modelName = modelName;
  }

  onPrompt(tokens: number): void {
    this.#promptTokens += tokens;
  }

  onToken(): void {
    this.#generatedTokens += 1;
  }

  onFirstToken(ms: number): void {
    this.#firstToken.observe(ms / 1000);
  }

  onEnd(reason: FinishReason, ms: number): void {
    this.#successes[reason] += 1;
    this.#wholeRequest.observe(ms / 1000);
  }

  /** Has a transition done, and notes that it is under way and how long it took, however it ends. */
  async timed<T>(operation: "sleep" | "wake", action: () => Promise<T>): Promise<T> {
    const known = this.#transitions.get(operation) ?? { took: new Histogram(transitionBucketSeconds), inFlight: 0 };
    this.#transitions.set(operation, known);
    const startedAt = performance.now();
    known.inFlight += 1;
    try {
      return await action();
    } finally {
      known.inFlight -= 1;
      known.took.observe((performance.now() - startedAt) / 1000);
    }
  }

  /** The whole page. */
  render(engine: Engine): string {
    const labels = `engine="0",model_name="${this.#modelName.replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"`;
    const one = (name: string, kind: string, about: string, value: number): string[] =>
      metric(name, kind, about, [`vllm:${kind === "counter" ? `${name}_total` : name}{${labels}} ${value}`]);
    const level = engine.shownLevel;
    const states = { awake: level === undefined, weights_offloaded: level === 1, discard_all: level === 2 };
    const transitions = [...this.#transitions];
    return [
      ...one("num_requests_running", "gauge", "Number of requests in model execution batches.", engine.decoder.running),
      ...one("num_requests_waiting", "gauge", "Number of requests waiting to be processed.", engine.decoder.waiting),
      ...metric(
        "engine_sleep_state",
        "gauge",
        "Engine sleep state; awake = 0 means engine is sleeping; awake = 1 means engine is awake; " +
          "weights_offloaded = 1 means sleep level 1; discard_all = 1 means sleep level 2.",
        Object.entries(states).map(
          ([state, is]) => `vllm:engine_sleep_state{${labels},sleep_state="${state}"} ${is ? 1 : 0}`,
        ),
      ),
      ...metric(
        "sleep_mode_operation_duration_seconds",
        "histogram",
        "Duration of one sleep-mode operation.",
        transitions.flatMap(([operation, { took }]) =>
          took.lines("vllm:sleep_mode_operation_duration_seconds", `operation="${operation}"`),
        ),
      ),
      ...metric(
        "sleep_mode_operations_in_flight",
        "gauge",
        "Sleep-mode operations currently awaited.",
        transitions.map(
          ([operation, { inFlight }]) => `vllm:sleep_mode_operations_in_flight{operation="${operation}"} ${inFlight}`,
        ),
      ),
      ...one(
        "kv_cache_usage_perc",
        "gauge",
        "KV-cache usage. 1 means 100 percent usage.",
        Math.min(1, engine.decoder.running / 256),
      ),
      ...one("prompt_tokens", "counter", "Number of prefill tokens processed.", this.#promptTokens),
      ...one("generation_tokens", "counter", "Number of generation tokens processed.", this.#generatedTokens),
      ...metric(
        "request_success",
        "counter",
        "Count of successfully processed requests.",
        Object.entries(this.#successes).map(
          ([reason, n]) => `vllm:request_success_total{${labels},finished_reason="${reason}"} ${n}`,
        ),
      ),
      ...metric(
        "time_to_first_token_seconds",
        "histogram",
        "Histogram of time to first token in seconds.",
        this.#firstToken.lines("vllm:time_to_first_token_seconds", labels),
      ),
      ...metric(
        "e2e_request_latency_seconds",
        "histogram",
        "Histogram of e2e request latency in seconds.",
        this.#wholeRequest.lines("vllm:e2e_request_latency_seconds", labels),
      ),
      "",
    ].join("\n");
  }
}

function metric(name: string, kind: string, about: string, lines: readonly string[]): string[] {
  return [`# HELP vllm:${name} ${about}`, `# TYPE vllm:${name} ${kind}`, ...lines];
}
