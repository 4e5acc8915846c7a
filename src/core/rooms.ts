/** The parts of the scheduler, and how they are connected. */
import { Admission } from "./admission.ts";
import { Deciding } from "./deciding.ts";
import { DrainTimes } from "./drain-times.ts";
import { Drains } from "./drains.ts";
import type { Effects } from "./effects.ts";
import { Endings, noRoomLeft } from "./endings.ts";
import { Engines } from "./engines.ts";
import { ForcedCredit } from "./forced-credit.ts";
import { HostMemory } from "./host-memory.ts";
import { IdleLadder } from "./idle-ladder.ts";
import type { ModelSpec } from "./model.ts";
import { Orders } from "./orders.ts";
import { Preloads } from "./preloads.ts";
import type { SchedulerOptions } from "./scheduler-options.ts";
import { Shutdown } from "./shutdown.ts";
import { SleeperCredits } from "./sleeper-credit.ts";
import { SwitchCosts } from "./switch-cost.ts";
import { Switches } from "./switches.ts";
import { Timers } from "./timers.ts";
import { Visits } from "./visits.ts";

/** Everything that keeps some of the scheduler's state. */
export interface Rooms {
  readonly engines: Engines;
  readonly timers: Timers;
  readonly costs: SwitchCosts;
  readonly admission: Admission;
  readonly drains: Drains;
  readonly host: HostMemory;
  readonly switches: Switches;
  readonly deciding: Deciding;
  readonly preloads: Preloads;
  readonly endings: Endings;
  readonly orders: Orders;
  readonly idle: IdleLadder;
  readonly shutdown: Shutdown;
}

/** Builds them all for one scheduler. */
export function buildRooms(
  models: readonly ModelSpec[],
  options: SchedulerOptions,
  effects: Effects,
  nowMs: number,
): Rooms {
  const { policy, requestTimeoutMs, drainTimeoutMs, drainBudgetMs = null, queueMax = Infinity } = options;
  const timers = new Timers();
  const engines = new Engines(models, options.devices ?? [], effects, nowMs);
  const costs = new SwitchCosts(options.knownCosts);
  const visits = new Visits();
  const drainTimes = new DrainTimes();
  const forcedCredit = options.forcedCredit === undefined ? null : new ForcedCredit(options.forcedCredit);
  // Those who are named before they are there are asked only once all are.
  const admission = new Admission({
    effects,
    engines,
    timers,
    costs,
    requestTimeoutMs,
    queueMax,
    obstacleFor: (record, atMs) => switches.outlookFor(record, atMs).obstacle,
  });
  const drains = new Drains({
    engines,
    admission,
    timers,
    visits,
    drainTimeoutMs,
    drainBudgetMs,
    onVictimDrained: (record, atMs) => switches.victimDrained(record, atMs),
  });
  const credits = new SleeperCredits();
  const host = new HostMemory({ engines, costs, credits, budgetBytes: options.hostMemoryBytes ?? null });
  const switches = new Switches({
    engines,
    costs,
    drains,
    drainTimes,
    host,
    onLeft: (record) => deciding.changed(record),
    stopSleeper: (record, atMs) => endings.stop(record, noRoomLeft(record), atMs),
    chooseAgain: policy.chooseAgain === undefined ? null : (records, atMs) => deciding.chooseAgain(records, atMs),
  });
  const preloads = new Preloads({ engines, switches, timers });
  const deciding = new Deciding({ engines, switches, costs, visits, drainTimes, forcedCredit, timers, policy });
  const endings = new Endings({ engines, admission, timers, drains, switches, preloads, deciding });
  const orders = new Orders({ engines, admission, drains, switches, host, endings, deciding });
  const shutdown = new Shutdown({ effects, engines, admission, timers, drains, switches, endings });
  const idle = new IdleLadder({
    timers,
    sleepAfterMs: options.idleSleepMs ?? null,
    stopAfterMs: options.idleStopMs ?? null,
    step: (record, to, atMs) => shutdown.phase === "running" && orders.give(record, to, atMs) === null,
  });
  return {
    engines,
    timers,
    costs,
    admission,
    drains,
    host,
    switches,
    deciding,
    preloads,
    endings,
    orders,
    idle,
    shutdown,
  };
}
