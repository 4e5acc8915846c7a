/** `llmux simulate`: what a policy would have made of a trace, told in figures and, if wanted, drawn. */
import { writeFile } from "node:fs/promises";
import type { Config } from "../config/config.ts";
import { ConfigError, loadConfig } from "../config/load.ts";
import { loadArrivals, type Arrivals } from "../simulation/arrivals.ts";
import { drawRun } from "../simulation/drawing.ts";
import { configuredMachine, type Machine } from "../machine.ts";
import { reportOf } from "../simulation/report.ts";
import { play, type SimulatedModel } from "../simulation/run.ts";
import { TraceError } from "../simulation/trace-file.ts";
import { modelSpecs, schedulerOptions } from "../scheduling.ts";
import { EXIT, type ExitCode } from "./exit-codes.ts";
import { CommandError, print, type Shell } from "./shell.ts";
import { simulationText } from "./simulation-text.ts";
import { configFile } from "./where.ts";

/** The command line of `simulate`. */
export interface SimulateOptions {
  readonly trace: string;
  readonly config?: string;
  readonly policy?: string;
  /** On the trace's clock, in s. */
  readonly from: number;
  readonly to: number;
  /** From 0 (excluded) to 1. */
  readonly keep: number;
  readonly seed: number;
  /** In s. */
  readonly slo: number;
  readonly cold?: boolean;
  readonly json?: boolean;
  readonly svg?: string;
}

/** Exit code 0 whatever the figures are. */
export async function simulate(options: SimulateOptions, shell: Shell): Promise<ExitCode> {
  const file = configFile(options.config, shell);
  const config = loadNamingPolicy(file, options.policy, shell);
  const arrivals = await arrivalsOf(options, config);
  const machine = configuredMachine(config);
  const models = simulatedModels(config, machine, options.cold === true);
  requireSpeeds(models, arrivals, file);
  const scheduler = { ...schedulerOptions(config.policy, machine.plan), hostMemoryBytes: machine.hostMemoryBytes };
  const run = play({ models, scheduler, arrivals: arrivals.list });
  const devices = new Map(models.map(({ spec }) => [spec.id, spec.devices]));
  const report = reportOf(run, {
    policy: config.policy.policyType,
    sloMs: options.slo * 1000,
    devices,
  });
  if (options.svg !== undefined) {
    await writeFile(options.svg, drawRun({ run, report, devices, beginsAtS: arrivals.beginsAtS }));
  }
  const text =
    options.json === true
      ? `${JSON.stringify(report, null, 2)}\n`
      : simulationText(report, shell.stdout.columns ?? null);
  await print(shell, text);
  return EXIT.fine;
}

/** The policy of the command line is checked as if it stood in the file, but a mistake in it is none of the file's. */
function loadNamingPolicy(file: string, policy: string | undefined, { env }: Shell): Config {
  try {
    return loadConfig(file, env, policy === undefined ? {} : { policyType: policy });
  } catch (error) {
    const problem =
      error instanceof ConfigError ? error.problems.find(({ path }) => path === "policy.policy_type") : null;
    if (policy === undefined || problem === null || problem === undefined) throw error;
    throw new CommandError(`--policy: ${problem.message.replace(/^policy\.policy_type: /, "")}`, EXIT.usage);
  }
}

async function arrivalsOf({ trace, from, to, keep, seed }: SimulateOptions, config: Config): Promise<Arrivals> {
  if (from >= to) throw new CommandError(`--from ${from} is not before --to ${to}`, EXIT.usage);
  try {
    return await loadArrivals(trace, config.models, { fromS: from, toS: to, keep, seed });
  } catch (error) {
    if (error instanceof TraceError) throw new CommandError(error.message, EXIT.usage);
    throw error;
  }
}

/** As they are after all were started and put to sleep once; cold: as they are before. */
function simulatedModels(config: Config, { plan }: Machine, cold: boolean): SimulatedModel[] {
  const speeds = new Map(config.models.map(({ name, simulate: speed }) => [name, speed]));
  return modelSpecs(config, plan).map((spec) => {
    const speed = speeds.get(spec.id) ?? null;
    const { sleepLevel } = spec;
    return { spec: cold || sleepLevel === 3 ? spec : { ...spec, beginsAsleepAt: sleepLevel }, speed };
  });
}

function requireSpeeds(models: readonly SimulatedModel[], { list }: Arrivals, file: string): void {
  const asked = new Set(list.map(({ model }) => model));
  const lacking = models.flatMap(({ spec, speed }) => (speed === null && asked.has(spec.id) ? [spec.id] : []));
  if (lacking.length === 0) return;
  const keys = lacking.map((name) => `models.${name}.simulate`).join(" and ");
  const message = `${file}: expected ${keys} with itl_ms and prefill_tokens_per_s, since the trace has requests for it`;
  throw new CommandError(`${message}, found nothing`, EXIT.usage);
}
