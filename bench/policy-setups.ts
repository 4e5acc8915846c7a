/** The policies that are compared, each as a user would configure it: one GPU, one model awake, engines asleep at the beginning. */
import { planPlacement } from "../src/config/placement-plan.ts";
import { modelSpecs, schedulerOptions } from "../src/scheduling.ts";
import { parseConfig } from "../src/config/load.ts";
import type { Arrival } from "../src/simulation/arrivals.ts";
import { reportOf, type Report } from "../src/simulation/report.ts";
import { play, type Plan } from "../src/simulation/run.ts";
import type { EngineFigures } from "./traces.ts";

/** One way to schedule. */
export interface PolicySetup {
  readonly name: string;
  /** The section `policy` of the configuration; no request ever waits too long, and no queue is ever full. */
  readonly policy: Readonly<Record<string, unknown>>;
  /** Keys that every model has. */
  readonly ofModels?: Readonly<Record<string, unknown>>;
  /** What the product does not have, for comparison. */
  readonly awakeAtLeastMs?: number;
}

const PATIENT = { request_timeout_secs: "500h", max_queued: 1_000_000, max_queued_total: 1_000_000 };

/** llmux's own `fifo`: a model serves whoever comes until it must leave. */
export const FIFO: PolicySetup = {
  name: "fifo, 5 s",
  policy: { policy_type: "fifo", min_active_secs: 5, ...PATIENT },
};

/**
 * First in, first out to the letter: the gate of the model that is awake closes as soon as a request for another one waits, as in llmux
 * 0.3.0; it stays awake for 5 s all the same. No user can configure it.
 */
export const STRICT_FIFO: PolicySetup = {
  name: "strict fifo, 5 s",
  policy: { policy_type: "fifo", min_active_secs: 0, ...PATIENT },
  awakeAtLeastMs: 5_000,
};

/** Whatever runs is let to its end. */
export const FULL_DRAIN: PolicySetup = {
  name: "bounded-wait, full drain",
  policy: { policy_type: "bounded-wait", ...PATIENT },
};

/** What still runs after 5 s is suspended, and goes on when its model is awake again. */
export const DRAIN_BUDGET: PolicySetup = {
  name: "bounded-wait, 5 s drain budget",
  policy: { policy_type: "bounded-wait", drain_budget_secs: 5, ...PATIENT },
  ofModels: { suspend: true },
};

/** What is played under a setup. */
export interface Workload {
  readonly engines: ReadonlyMap<string, EngineFigures>;
  readonly arrivals: readonly Arrival[];
  /** Where answers are cut, if not where simulations cut them. */
  readonly outputTokensMax?: number;
}

const SLO_MS = 30_000;

/** Plays it in virtual time, by the code that serves. */
export function playUnder(setup: PolicySetup, workload: Workload): Report {
  const { engines, arrivals, outputTokensMax } = workload;
  const plan: Plan = {
    ...planOf(setup, engines),
    arrivals,
    ...(outputTokensMax === undefined ? {} : { outputTokensMax }),
    ...(setup.awakeAtLeastMs === undefined ? {} : { awakeAtLeastMs: setup.awakeAtLeastMs }),
  };
  const devices = new Map(plan.models.map(({ spec }) => [spec.id, spec.devices]));
  return reportOf(play(plan), { policy: setup.name, sloMs: SLO_MS, devices });
}

function planOf(
  { policy, ofModels = {} }: PolicySetup,
  engines: Workload["engines"],
): Pick<Plan, "models" | "scheduler"> {
  const models = Object.fromEntries(
    Array.from(engines, ([name, simulate]) => [name, { model_path: `bench/${name}`, simulate, ...ofModels }]),
  );
  const config = parseConfig(JSON.stringify({ policy, models }), "the benchmark's configuration", {});
  const placement = planPlacement(config.models, config.gpus);
  const speeds = new Map(config.models.map(({ name, simulate }) => [name, simulate]));
  return {
    models: modelSpecs(config, placement).map((spec) => ({
      spec: { ...spec, beginsAsleepAt: 1 },
      speed: speeds.get(spec.id) ?? null,
    })),
    scheduler: schedulerOptions(config.policy, placement),
  };
}
