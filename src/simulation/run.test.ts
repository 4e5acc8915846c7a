/** The scheduler and modelled engines together, against figures worked out by hand. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { boundedWait } from "../core/policies/bounded-wait.ts";
import { fifo } from "../core/policies/fifo.ts";
import type { Arrival } from "./arrivals.ts";
import { drawRun } from "./drawing.ts";
import { reportOf } from "./report.ts";
import { GRACE_MS, play, type Plan, type Run, type SimulatedModel } from "./run.ts";
import { FIGURES_OF_THREE, NONE_LOST, THREE_REQUESTS } from "./testing/three-requests.ts";

const SPEED = { itlMs: 10, prefillTokensPerSecond: 1000, sleepMs: 1000, wakeMs: 2000, coldMs: 30_000 };

const model = (id: string, spec: Partial<SimulatedModel["spec"]> = {}): SimulatedModel => {
  return { spec: { id, devices: ["0"], sleepLevel: 1, beginsAsleepAt: 1, ...spec }, speed: SPEED };
};

const request = (atMs: number, id: string, promptTokens = 100, outputTokens = 11): Arrival => {
  return { atMs, model: id, promptTokens, outputTokens };
};

interface PlanOptions extends Partial<Plan["scheduler"]>, Pick<Plan, "outputTokensMax" | "awakeAtLeastMs"> {
  readonly models?: readonly SimulatedModel[];
  readonly minActiveMs?: number;
}

function run(arrivals: readonly Arrival[], options: PlanOptions = {}): Run {
  const { models = [model("a"), model("b")], minActiveMs = 5000, outputTokensMax, awakeAtLeastMs, ...rest } = options;
  const scheduler = { policy: fifo({ minActiveMs }), requestTimeoutMs: 86_400_000, drainTimeoutMs: null, ...rest };
  return play({
    models,
    scheduler,
    arrivals,
    ...(outputTokensMax === undefined ? {} : { outputTokensMax }),
    ...(awakeAtLeastMs === undefined ? {} : { awakeAtLeastMs }),
  });
}

/** "first/over result" of each request, in ms. */
function outcomes({ requests }: Run): readonly string[] {
  return requests.map(({ firstTokenAtMs, overAtMs, result }) => `${firstTokenAtMs}/${overAtMs} ${result}`);
}

const DEVICES = new Map([
  ["a", ["0"]],
  ["b", ["0"]],
]);

const SETTING = { policy: "fifo", sloMs: 5000, devices: DEVICES };

describe("a simulated run", () => {
  it("pays a wake, a sleep and the minimum stay, and lets those through whose model is awake", () => {
    assert.deepEqual(outcomes(run(THREE_REQUESTS)), ["2100/2200 served", "10100/10200 served", "4100/4200 served"]);
  });

  it("comes to exact figures", () => {
    assert.deepEqual(reportOf(run(THREE_REQUESTS), SETTING), {
      policy: "fifo",
      slo_s: 5,
      goodput: 0.6667,
      ...FIGURES_OF_THREE,
      models: {
        a: {
          requests: 2,
          goodput: 1,
          ttft_s: { mean: 1.1, p50: 0.1, p95: 2.1, p99: 2.1, max: 2.1 },
          e2e_s: { p50: 0.2, p99: 2.2 },
          ...NONE_LOST,
          switches: 1,
          awake_share: 0.4902,
        },
        b: {
          requests: 1,
          goodput: 0,
          ttft_s: { mean: 7.1, p50: 7.1, p95: 7.1, p99: 7.1, max: 7.1 },
          e2e_s: { p50: 7.2, p99: 7.2 },
          ...NONE_LOST,
          switches: 1,
          awake_share: 0.0196,
        },
      },
    });
  });

  it("is the same every time", () => {
    const arrivals = Array.from({ length: 500 }, (_, index) =>
      request(index * 97, "ab"[(index * 7) % 5 < 2 ? 0 : 1] ?? "a"),
    );
    assert.deepEqual(run(arrivals), run(arrivals));
    assert.equal(reportOf(run(arrivals), SETTING).requests, 500);
  });

  it("counts the drain by itself", () => {
    // a runs until 2100 + 2000; b comes at 2500.
    const result = run([request(0, "a", 100, 201), request(2500, "b")], { minActiveMs: 0 });
    assert.deepEqual(outcomes(result), ["2100/4100 served", "7200/7300 served"]);
    assert.deepEqual(
      result.switches.map(({ to, drainMs, changeMs }) => [to, drainMs, changeMs]),
      [
        ["a", 0, 2000],
        ["b", 1600, 3000],
      ],
    );
    const { drain_share, switch_share } = reportOf(result, SETTING);
    assert.deepEqual([drain_share, switch_share], [0.2192, 0.6849]);
  });

  it("begins with no engine started where the models say so", () => {
    const cold = model("a", { sleepLevel: 1 });
    const { beginsAsleepAt: _, ...spec } = cold.spec;
    assert.deepEqual(outcomes(run([request(0, "a")], { models: [{ ...cold, spec }] })), ["30100/30200 served"]);
  });

  it("stops and starts an engine whose level is 3", () => {
    const models = [model("a", { sleepLevel: 3 }), model("b")];
    const arrivals = [request(0, "a"), request(100, "b"), request(10_000, "a")];
    // b: 2200 + 1000 for the stop + 2000; then a: stays until 5200 + 0, sleep 1000, cold 30000.
    assert.deepEqual(outcomes(run(arrivals, { models, minActiveMs: 0 })), [
      "2100/2200 served",
      "5300/5400 served",
      "41100/41200 served",
    ]);
  });

  it("lets models on devices of their own go side by side, and counts all devices' time", () => {
    const models = [model("a"), model("b", { devices: ["1"] })];
    const result = run([request(0, "a"), request(0, "b")], { models });
    assert.deepEqual(outcomes(result), ["2100/2200 served", "2100/2200 served"]);
    const devices = new Map(models.map(({ spec }) => [spec.id, spec.devices]));
    assert.equal(reportOf(result, { ...SETTING, devices }).switch_share, 0.9091);
  });

  it("counts those that llmux refuses, and those that a switch ends before their time", () => {
    const refused = run([request(0, "a"), request(100, "b")], { requestTimeoutMs: 3000 });
    assert.deepEqual(outcomes(refused), ["2100/2200 served", "null/3100 refused"]);
    assert.equal(reportOf(refused, SETTING).refused, 1);
    assert.equal(reportOf(refused, SETTING).goodput, 0.5);
    const aborted = run([request(0, "a", 100, 2000), request(3000, "b")], { minActiveMs: 0, drainTimeoutMs: 1000 });
    assert.deepEqual(outcomes(aborted), ["2100/4000 aborted", "7100/7200 served"]);
    assert.equal(reportOf(aborted, SETTING).aborted, 1);
  });

  it("cuts answers at 2,048 tokens, or where the plan says", () => {
    const long = [request(0, "a", 100, 20_001)];
    assert.deepEqual(outcomes(run(long)), [`2100/${2100 + 2047 * 10} served`]);
    assert.deepEqual(outcomes(run(long, { outputTokensMax: 16_001 })), ["2100/162100 served"]);
  });

  it("keeps an engine awake behind a closed gate for as long as the plan says", () => {
    // b comes at 2500, and the gate of a closes; c waits behind it, though a is awake until 7000.
    const arrivals = [request(0, "a"), request(2500, "b"), request(3000, "a")];
    const result = run(arrivals, { minActiveMs: 0, awakeAtLeastMs: 5000 });
    assert.deepEqual(outcomes(result), ["2100/2200 served", "10100/10200 served", "18100/18200 served"]);
  });

  it("suspends what still runs when the drain budget is spent, and goes on with it after the next wake", () => {
    const models = [model("a", { canSuspend: true }), model("b", { canSuspend: true })];
    const policy = fifo({ minActiveMs: 0 });
    // a has its first token at 2100 and 201 to write; b comes at 2500, and 500 ms later a is put to sleep with 91 tokens out. b is
    // awake at 6000 and done at 6200. a is awake again at 9200, reads 191 tokens, which gives the 92nd, and has 109 left.
    const result = run([request(0, "a", 100, 201), request(2500, "b")], { models, policy, drainBudgetMs: 500 });
    assert.deepEqual(outcomes(result), ["2100/10481 served", "6100/6200 served"]);
  });

  it("takes a start's time for a wake from deeper than the model's own level", () => {
    const models = [model("a", { hostBytes: 10 }), model("b", { hostBytes: 10 })];
    // The host has room for one sleeper at level 1, and b sleeps there: a has to go deeper.
    const arrivals = [request(0, "a"), request(10_000, "b"), request(20_000, "a")];
    const result = run(arrivals, { models, hostMemoryBytes: 5 });
    assert.deepEqual(outcomes(result), ["2100/2200 served", "13100/13200 served", "51100/51200 served"]);
  });

  it("states the longest wait that the policy promised, where drains have an end", () => {
    const policy = boundedWait({ targetWaitMs: 25_000, maxWaitMs: 120_000 });
    const arrivals = [request(0, "a"), request(3000, "b")];
    assert.equal(run(arrivals, { policy }).boundMs, null);
    assert.equal(run(arrivals).boundMs, null);
    const { boundMs } = run(arrivals, { policy, drainBudgetMs: 5000 });
    // 120 s, and for each of three or four turns two switches of 2 or 3 s and 5 s of drain.
    assert.ok(boundMs !== null && boundMs >= 120_000 + 3 * 9_000 && boundMs <= 120_000 + 4 * 12_000, String(boundMs));
    const bound_s = boundMs / 1000;
    assert.equal(reportOf(run(arrivals, { policy, drainBudgetMs: 5000 }), SETTING).bound_s, bound_s);
  });

  it("ends 30 minutes after the last arrival, and counts what has not ended as unfinished", () => {
    const slow = { ...SPEED, wakeMs: GRACE_MS + 1000 };
    const models = [model("a"), { ...model("b"), speed: slow }];
    const result = run([request(0, "a"), request(500, "b")], { models });
    assert.deepEqual(outcomes(result), ["2100/2200 served", "null/null unfinished"]);
    assert.equal(result.durationMs, GRACE_MS + 500);
    const { ttft_s, goodput, models: each } = reportOf(result, SETTING);
    assert.deepEqual([ttft_s.max, goodput, each["b"]?.ttft_s.p50, each["b"]?.unfinished], [2.1, 0.5, null, 1]);
  });

  it("needs no figures of an engine that nobody asks for", () => {
    const models = [model("a"), { ...model("b"), speed: null }];
    assert.deepEqual(outcomes(run([request(0, "a")], { models })), ["2100/2200 served"]);
  });
});

describe("the drawing of a run", () => {
  it("is one SVG without anything from outside, with every model's name as it is", () => {
    const models = [model("a"), model('<b> & "c"')];
    const result = run([request(0, "a"), request(1000, '<b> & "c"')], { models });
    const devices = new Map(models.map(({ spec }) => [spec.id, spec.devices]));
    const report = reportOf(result, { ...SETTING, devices });
    const svg = drawRun({ run: result, report, devices, beginsAtS: 100 });
    assert.match(svg, /^<svg xmlns="http:\/\/www\.w3\.org\/2000\/svg" [^>]*>\n[\s\S]*<\/svg>\n$/);
    assert.match(svg, />&lt;b&gt; &amp; "c"<\/text>/);
    assert.doesNotMatch(svg, /NaN|Infinity|undefined|href|url\(|<script/);
  });

  it("shows a long run by shares of time, and stays small however many requests there are", () => {
    const arrivals = Array.from({ length: 20_000 }, (_, index) =>
      request(index * 1000, index % 3 === 0 ? "a" : "b", 10, 2),
    );
    const result = run(arrivals);
    const svg = drawRun({ run: result, report: reportOf(result, SETTING), devices: DEVICES, beginsAtS: 0 });
    assert.match(svg, />The GPU's time<\/text>/);
    assert.doesNotMatch(svg, /NaN|Infinity|undefined/);
    assert.ok(svg.length < 1_000_000, String(svg.length));
  });

  it("shows where requests stand still in an engine that sleeps", () => {
    const models = [model("a", { canSuspend: true }), model("b")];
    const arrivals = [request(0, "a", 100, 2000), request(3000, "b")];
    const pale = 'fill="#0072b2" fill-opacity="0.2"';
    for (const [drainBudgetMs, count] of [
      [500, 1],
      [null, 0],
    ] as const) {
      const result = run(arrivals, { models, minActiveMs: 0, drainBudgetMs });
      const svg = drawRun({ run: result, report: reportOf(result, SETTING), devices: DEVICES, beginsAtS: 0 });
      assert.equal(svg.split(pale).length - 1, count);
    }
  });

  it("marks those that never had a first token", () => {
    const result = run([request(0, "a"), request(100, "b")], { requestTimeoutMs: 3000 });
    const svg = drawRun({ run: result, report: reportOf(result, SETTING), devices: DEVICES, beginsAtS: 0 });
    assert.match(svg, />never<\/text>/);
  });
});
