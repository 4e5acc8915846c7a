/** Runs one scenario to its end, or to the first broken rule. */
import { AssertionError, unreachable } from "../src/base/assert.ts";
import type { Effects } from "../src/core/effects.ts";
import { boundedWait } from "../src/core/policies/bounded-wait.ts";
import { fifo } from "../src/core/policies/fifo.ts";
import type { Policy } from "../src/core/policy.ts";
import { Scheduler, type SchedulerOptions } from "../src/core/scheduler.ts";
import { boundedWaitTimes } from "./longest-wait.ts";
import { newestFirst } from "./newest-first.ts";
import type { Scenario } from "./scenario.ts";
import { Trace } from "./trace.ts";
import { Violation, type Rule } from "./violation.ts";
import { World, type SchedulerEvents } from "./world.ts";

/** No scenario needs more events; one that does goes in circles. */
const EVENTS_MAX = 100_000;

/** How a run ended. */
export interface Outcome {
  /** Null when every rule held. */
  readonly broken: { readonly rule: Rule; readonly message: string } | null;
  readonly events: number;
  readonly virtualMs: number;
  readonly switches: number;
  /** The same for two runs in which the same happened at the same times. */
  readonly fingerprint: string;
  /** What happened, a line each; empty unless asked for. */
  readonly lines: readonly string[];
}

/** A deliberate bug between the scheduler and the world, to see whether the rules catch it. */
export interface Mutation {
  readonly effects?: (effects: Effects, world: World) => Effects;
  readonly events?: (events: SchedulerEvents, world: World) => SchedulerEvents;
  readonly options?: (options: SchedulerOptions) => SchedulerOptions;
}

/** Runs the scenario. A scheduler that throws anything but an assertion lets it through: that is no result. */
export function simulate(
  scenario: Scenario,
  options: { readonly mutation?: Mutation; readonly keepLines?: boolean } = {},
): Outcome {
  const trace = new Trace({ keepLines: options.keepLines === true });
  const world = new World(scenario, trace);
  const progress = { events: 0 };
  const broken = runToTheEnd(world, options.mutation ?? {}, progress);
  return {
    broken,
    events: progress.events,
    virtualMs: world.clock.nowMs,
    switches: world.outlook.switchesEnded,
    fingerprint: trace.fingerprint,
    lines: trace.lines ?? [],
  };
}

function runToTheEnd(world: World, mutation: Mutation, progress: { events: number }): Outcome["broken"] {
  try {
    const scheduler = newScheduler(world, mutation);
    const events = eventsOf(scheduler);
    world.begin(mutation.events?.(events, world) ?? events);
    runUntilQuiet(world, scheduler, progress);
    if (!world.shuttingDown) {
      world.whenQuiet();
      world.shutDown();
      runUntilQuiet(world, scheduler, progress);
    }
    world.atEnd();
    return null;
  } catch (error) {
    if (error instanceof Violation) return { rule: error.rule, message: error.message };
    if (error instanceof AssertionError) return { rule: "the core's own assertions", message: error.message };
    throw error;
  }
}

function runUntilQuiet(world: World, scheduler: Scheduler, progress: { events: number }): void {
  while (world.clock.step()) {
    progress.events += 1;
    scheduler.assertInvariants();
    world.afterEvent();
    if (progress.events > EVENTS_MAX) throw new Violation("no stall", `more than ${EVENTS_MAX} events, and no end`);
  }
}

function newScheduler(world: World, mutation: Mutation): Scheduler {
  const { models, policy, minActiveMs, requestTimeoutMs, drainTimeoutMs, budgets } = world.scenario;
  const options: SchedulerOptions = {
    ...budgets,
    policy: policyOf(policy, minActiveMs),
    requestTimeoutMs,
    drainTimeoutMs,
    forcedCredit: FORCED_CREDIT,
  };
  const effects = mutation.effects?.(world.effects, world) ?? world.effects;
  const specs = models.map(({ spec }) => spec);
  return new Scheduler(specs, mutation.options?.(options) ?? options, effects, world.clock.nowMs);
}

function policyOf(name: Scenario["policy"], minActiveMs: number): Policy {
  switch (name) {
    case "fifo":
      return fifo({ minActiveMs });
    case "newest first":
      return newestFirst({ minActiveMs });
    case "bounded wait":
      return boundedWait(boundedWaitTimes(minActiveMs));
  }
  return unreachable(name);
}

/** Only bounded wait spends of it. */
const FORCED_CREDIT = { share: 0.1, capMs: 20_000 };

/** The scheduler's events as plain functions, so that a mutation can replace some of them. */
function eventsOf(scheduler: Scheduler): SchedulerEvents {
  return {
    onStarted: (nowMs) => scheduler.onStarted(nowMs),
    onRequest: (waiter, model, nowMs, priority) => scheduler.onRequest(waiter, model, nowMs, priority),
    onAbandoned: (waiter, nowMs) => scheduler.onAbandoned(waiter, nowMs),
    onReleased: (lease, outcome, nowMs) => scheduler.onReleased(lease, outcome, nowMs),
    onAwake: (model, nowMs) => scheduler.onAwake(model, nowMs),
    onWakeFailed: (model, reason, nowMs) => scheduler.onWakeFailed(model, reason, nowMs),
    onAsleep: (model, nowMs) => scheduler.onAsleep(model, nowMs),
    onSleepFailed: (model, reason, nowMs) => scheduler.onSleepFailed(model, reason, nowMs),
    onStopped: (model, nowMs) => scheduler.onStopped(model, nowMs),
    onStopFailed: (model, reason, nowMs) => scheduler.onStopFailed(model, reason, nowMs),
    onMemoryMeasured: (model, measured, nowMs) => scheduler.onMemoryMeasured(model, measured, nowMs),
    onCrashed: (model, reason, nowMs) => scheduler.onCrashed(model, reason, nowMs),
    onOperator: (model, command, nowMs) => scheduler.onOperator(model, command, nowMs),
    onAlarm: (nowMs) => scheduler.onAlarm(nowMs),
    onShutdown: (timeoutMs, nowMs) => scheduler.onShutdown(timeoutMs, nowMs),
  };
}
