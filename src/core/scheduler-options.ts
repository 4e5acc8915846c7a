/** What the scheduler is told about how it is to behave. */
import type { ForcedCreditOptions } from "./forced-credit.ts";
import type { DeviceSpec } from "./model.ts";
import type { Policy } from "./policy.ts";
import type { SwitchCostEntry } from "./switch-cost.ts";

/** How the scheduler behaves. */
export interface SchedulerOptions {
  readonly policy: Policy;
  /** How long a request may wait before it is let in, in ms; > 0. */
  readonly requestTimeoutMs: number;
  /** How long running requests may go on once their model must leave, in ms; null: until they end; 0: not at all. */
  readonly drainTimeoutMs: number | null;
  /**
   * How long running requests may go on once their model must leave for another one, in ms; then they stand still where the
   * engine can do that, and are ended where it cannot. Takes the place of `drainTimeoutMs` for switches; null: off.
   */
  readonly drainBudgetMs?: number | null;
  /** The budget for switches that the policy forces; none unless given. */
  readonly forcedCredit?: ForcedCreditOptions;
  /** What is known of the devices; of others no size is known. */
  readonly devices?: readonly DeviceSpec[];
  /** What sleepers at level 1 may take of the host in all, in bytes; null: not limited. */
  readonly hostMemoryBytes?: number | null;
  /** How many requests may wait for all models together; no limit unless given. */
  readonly queueMax?: number;
  /** A model that nobody uses is put to sleep after this, in ms; null: never. */
  readonly idleSleepMs?: number | null;
  /** A sleeping engine is stopped after this, in ms; null: never. */
  readonly idleStopMs?: number | null;
  /** What a former run has measured. */
  readonly knownCosts?: readonly SwitchCostEntry[];
}
