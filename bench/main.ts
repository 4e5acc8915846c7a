/**
 * Runs benchmarks, all or those that are named, prints what they found and keeps it as JSON in `bench/results/`. Exit code
 * 1 when a target is missed or a benchmark fails, 2 for a name that there is not.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { availableParallelism, loadavg } from "node:os";
import { fileURLToPath } from "node:url";
import { coldStart } from "./cold-start.ts";
import { endurance } from "./endurance.ts";
import { hangUp } from "./hang-up.ts";
import { readCommand, type BenchOptions } from "./options.ts";
import { policies } from "./policies.ts";
import { proxy } from "./proxy/proxy.ts";
import { workers } from "./proxy/workers.ts";
import { rate } from "./rate.ts";
import { replay } from "./replay.ts";
import { formatReport, holds, type Report } from "./report.ts";
import { schedulerSpeed } from "./scheduler-speed.ts";
import { sideBySide } from "./side-by-side.ts";
import { simulatedDay } from "./simulated-day.ts";
import { simulationSpeed } from "./simulation-speed.ts";
import { start } from "./start.ts";
import { starvation } from "./starvation.ts";
import { switchOverhead } from "./switch-overhead.ts";
import { vllmServe } from "./vllm-serve.ts";

const RESULTS = fileURLToPath(new URL("./results/", import.meta.url));

interface Benchmark {
  readonly run: (options: BenchOptions) => Promise<Report>;
  /** Without these options it is left out where all are run. */
  readonly needs?: readonly (keyof BenchOptions)[];
}

const BENCHMARKS: Readonly<Record<string, Benchmark>> = {
  "switch-overhead": { run: switchOverhead },
  "cold-start": { run: coldStart },
  "side-by-side": { run: sideBySide },
  endurance: { run: endurance },
  start: { run: start },
  "hang-up": { run: hangUp },
  "simulation-speed": { run: simulationSpeed },
  policies: { run: policies, needs: ["servegen", "azure"] },
  rate: { run: rate, needs: ["servegen"] },
  starvation: { run: starvation },
  "simulated-day": { run: simulatedDay, needs: ["servegen"] },
  scheduler: { run: schedulerSpeed },
  replay: { run: replay, needs: ["trace"] },
  "vllm-serve": { run: vllmServe },
  proxy: { run: proxy },
  workers: { run: workers },
};

async function main(args: readonly string[]): Promise<number> {
  let command;
  try {
    command = readCommand(args);
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    return 2;
  }
  const { names: wanted, options } = command;
  const unknown = wanted.filter((name) => BENCHMARKS[name] === undefined);
  if (unknown.length > 0) {
    console.error(`no such benchmark: ${unknown.join(", ")}; there are ${Object.keys(BENCHMARKS).join(", ")}`);
    return 2;
  }
  mkdirSync(RESULTS, { recursive: true });
  let isFine = true;
  for (const [name, { run, needs = [] }] of Object.entries(BENCHMARKS)) {
    if (wanted.length > 0 && !wanted.includes(name)) continue;
    const lacking = needs.filter((option) => options[option] === undefined);
    if (lacking.length === 0) {
      isFine = (await runOne(name, () => run(options))) && isFine;
    } else {
      console.log(`== ${name} is left out: it needs ${lacking.map((option) => `--${option}`).join(" and ")} ==\n`);
      isFine = wanted.length === 0 && isFine;
    }
  }
  return isFine ? 0 : 1;
}

async function runOne(name: string, run: () => Promise<Report>): Promise<boolean> {
  const machine = { node: process.version, cores: availableParallelism(), loadAverage: loadavg()[0] ?? 0 };
  console.log(`== ${name} (Node ${machine.node}, ${machine.cores} cores, load ${machine.loadAverage.toFixed(1)}) ==\n`);
  try {
    const report = await run();
    console.log(formatReport(report));
    const kept = { benchmark: name, at: new Date().toISOString(), machine, ...report };
    writeFileSync(`${RESULTS}${name}.json`, `${JSON.stringify(kept, null, 2)}\n`);
    return report.checks.every(holds);
  } catch (error) {
    console.error(`${name} failed:`, error);
    return false;
  }
}

process.exitCode = await main(process.argv.slice(2));
