/** Whether `llmux simulate` tells the truth: ten minutes of a trace at true speed through the real gateway, and the same in simulation. */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { Agent } from "undici";
import type { Arrival } from "../src/simulation/arrivals.ts";
import { spreadOf, type Report as Simulated } from "../src/simulation/report.ts";
import { until } from "../test/support/until.ts";
import { BenchGround, freePorts, type StartedProcess } from "./bench-ground.ts";
import { llmuxBasics, llmuxCommand, untilAnswers } from "./gateways.ts";
import type { BenchOptions } from "./options.ts";
import { FIFO, FULL_DRAIN, type PolicySetup } from "./policy-setups.ts";
import { replay as send, type ReplayedRequest } from "./replay-client.ts";
import type { Check, Report } from "./report.ts";
import { arrivalsIn, engineFigures, readWholeTrace, type EngineFigures } from "./traces.ts";

const LLMUX = fileURLToPath(new URL("../bin/llmux.js", import.meta.url));

const LENGTH_S = 600;
const SLO_S = 30;

/** The two may differ by so much, as a share of the simulated figure. */
const TOLERANCE = 0.15;

const POLICIES: readonly PolicySetup[] = [FULL_DRAIN, FIFO];

/** Plays a window under both policies, one after the other. Needs a trace; begins with it unless told where, and ends after ten minutes. */
export async function replay(options: BenchOptions): Promise<Report> {
  const { trace, from: fromS = 0, to: toS = fromS + LENGTH_S, keep = 1 } = options;
  if (trace === undefined) throw new Error("replay needs --trace FILE");
  const { rows, models } = await readWholeTrace(trace);
  const arrivals = arrivalsIn(rows, { fromS, toS, keep, seed: 1 });
  if (arrivals.length === 0) throw new Error(`${trace} has no request in seconds ${fromS} to ${toS}`);
  const table: (string | number)[][] = [];
  const checks: Check[] = [];
  const notes = [
    `${arrivals.length} requests of seconds ${fromS} to ${toS}, ${keep * 100} % kept; TTFT in s. Both begin with all engines asleep.`,
  ];
  for (const setup of POLICIES) {
    const { real, simulated, late } = await playBoth(setup, engineFigures(models), arrivals);
    table.push(
      [setup.name, "the real gateway", ...Object.values(real)],
      [setup.name, "simulate", ...Object.values(simulated)],
    );
    for (const figure of ["p50", "p95"] as const) {
      const measured = 100 * Math.abs(real[figure] / simulated[figure] - 1);
      checks.push({
        what: `${setup.name}: ${figure} differs by`,
        measured,
        bound: "at most",
        target: 100 * TOLERANCE,
        unit: "%",
      });
    }
    notes.push(`${setup.name}: no request was sent later than ${late.toFixed(0)} ms after its time.`);
  }
  const columns = ["policy", "played by", "goodput", "p50", "p95", "p99", "max"];
  return { tables: [{ title: "time to first token", columns, rows: table }], checks, notes };
}

interface Figures {
  readonly goodput: number;
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
  readonly max: number;
}

async function playBoth(
  setup: PolicySetup,
  engines: ReadonlyMap<string, EngineFigures>,
  arrivals: readonly Arrival[],
): Promise<{ readonly real: Figures; readonly simulated: Figures; readonly late: number }> {
  await using ground = new BenchGround(null);
  const [port = 0] = await freePorts(1);
  const config = ground.write("llmux.json", JSON.stringify(configOf(ground, port, setup, engines)));
  const lines = arrivals.map(({ atMs, model, promptTokens, outputTokens }) =>
    [atMs / 1000, model, promptTokens, outputTokens].join(","),
  );
  const trace = ground.write("trace.csv", `timestamp_s,model,prompt_tokens,output_tokens\n${lines.join("\n")}\n`);
  const simulated = simulate(config, trace);
  const started = ground.start("llmux", llmuxCommand(config));
  const origin = `http://127.0.0.1:${port}`;
  const dispatcher = new Agent({ headersTimeout: 0, bodyTimeout: 0, connections: 1_000 });
  try {
    await untilAnswers("llmux", started, origin);
    await bringAllToSleep(dispatcher, origin, config, [...engines.keys()], started);
    const replayed = await send(dispatcher, origin, arrivals);
    const faults = replayed.filter(({ fault }) => fault !== null);
    if (faults.length > 0) throw new Error(`${faults.length} requests were not served; the first: ${faults[0]?.fault}`);
    return { real: figuresOf(replayed), simulated, late: Math.max(...replayed.map(({ lateMs }) => lateMs)) };
  } finally {
    await dispatcher.destroy();
  }
}

/** The same file for both: `simulate` reads what `serve` passes to the engines. */
function configOf(
  ground: BenchGround,
  port: number,
  { policy }: PolicySetup,
  engines: ReadonlyMap<string, EngineFigures>,
): unknown {
  const models = Array.from(engines, ([name, figures], index) => {
    const { itl_ms, prefill_tokens_per_s, sleep_s, wake_s } = figures;
    const flags = {
      "gpu-memory-utilization": 0.8,
      "max-num-seqs": 64,
      "mock-itl-ms": itl_ms,
      "mock-prefill-tokens-per-s": prefill_tokens_per_s,
      "mock-sleep-ms": sleep_s * 1000,
      "mock-wake-ms": wake_s * 1000,
      "mock-load-ms": 0,
    };
    const extra_args = Object.entries(flags).flatMap(([flag, value]) => [`--${flag}`, String(value)]);
    extra_args.push("--disable-uvicorn-access-log");
    return [name, { model_path: `bench/model-${index}-1B`, extra_args, simulate: figures }] as const;
  });
  return { ...llmuxBasics(ground, port), policy, models: Object.fromEntries(models) };
}

/** As a simulation begins: each has been started by a request of its own, and sleeps. */
async function bringAllToSleep(
  dispatcher: Agent,
  origin: string,
  config: string,
  models: readonly string[],
  started: StartedProcess,
): Promise<void> {
  for (const model of models) {
    const [answer] = await send(dispatcher, origin, [{ atMs: 0, model, promptTokens: 1, outputTokens: 1 }]);
    if (answer?.fault !== null) throw new Error(`${model}: ${answer?.fault}\n${started.output().slice(-2_000)}`);
  }
  for (const model of models) run(["sleep", model, "--config", config]);
  await until("all engines sleep", () => {
    const { models: states } = JSON.parse(run(["ps", "--json", "--config", config])) as { models: { state: string }[] };
    return states.every(({ state }) => state === "asleep");
  });
}

function simulate(config: string, trace: string): Figures {
  const text = run(["simulate", "--config", config, "--trace", trace, "--slo", String(SLO_S), "--json"]);
  const { goodput, ttft_s } = JSON.parse(text) as Simulated;
  const { p50, p95, p99, max } = ttft_s;
  return { goodput: 100 * goodput, p50: p50 ?? NaN, p95: p95 ?? NaN, p99: p99 ?? NaN, max: max ?? NaN };
}

function run(args: readonly string[]): string {
  const { stdout, stderr, status } = spawnSync(process.execPath, [LLMUX, ...args], { encoding: "utf8" });
  if (status !== 0) throw new Error(`llmux ${args.join(" ")} failed:\n${stderr}`);
  return stdout;
}

function figuresOf(replayed: readonly ReplayedRequest[]): Figures {
  const times = replayed.map(({ ttftMs }) => ttftMs ?? Infinity);
  const { p50, p95, p99, max } = spreadOf(times);
  const inTime = times.filter((ms) => ms <= SLO_S * 1000).length;
  return { goodput: (100 * inTime) / times.length, p50: p50 ?? NaN, p95: p95 ?? NaN, p99: p99 ?? NaN, max: max ?? NaN };
}
