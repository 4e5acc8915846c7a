/** What a configuration promises to those who wait, as far as it can be told before anything is measured. */
import type { PolicyConfig } from "../config/config.ts";

/** What status and explanations say of the policy. */
export interface WaitPromise {
  /** The policy's name, as in the configuration. */
  readonly policy: PolicyConfig["policyType"];
  /** A request that has waited so long is refused. */
  readonly requestTimeoutMs: number;
  /** Why the policy promises no bound, in words; null where it can. */
  readonly noBoundBecause: string | null;
}

/** Reads it off the policy. */
export function waitPromise(policy: PolicyConfig): WaitPromise {
  const { policyType, requestTimeoutMs } = policy;
  return { policy: policyType, requestTimeoutMs, noBoundBecause: noBoundBecause(policy) };
}

function noBoundBecause({ policyType, drainBeforeSwitch, drainTimeoutMs, drainBudgetMs }: PolicyConfig): string | null {
  if (policyType === "fifo") return "the policy fifo promises none";
  const hasLimit = !drainBeforeSwitch || drainTimeoutMs !== null || drainBudgetMs !== null;
  if (hasLimit) return null;
  return "a model that has to leave first finishes what runs, however long that takes (drain_budget_secs limits it)";
}
