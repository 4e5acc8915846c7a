/** What must be true of every request, from its arrival to its one end. */
import type { Failure } from "../src/base/failure.ts";
import type { Lease, WaiterId } from "../src/core/lease.ts";
import type { ModelId } from "../src/core/model.ts";
import type { SimulatedRequest } from "./clients.ts";
import { longestBoundedWaitMs, longestWaitsMs } from "./longest-wait.ts";
import type { Scenario } from "./scenario.ts";
import { demand } from "./violation.ts";
import type { View } from "./view.ts";

/** Checked at every grant, refusal and revocation, and after every event. */
export class RequestRules {
  readonly #view: View;
  /** Null when something may go wrong, so that no bound can be stated. */
  readonly #longestWaitsMs: ReadonlyMap<ModelId, number> | null;

  constructor(view: View) {
    this.#view = view;
    const { scenario } = view;
    const { faults, commands, requests, policy, shutdown } = scenario;
    const calm =
      faults.length === 0 && commands.length === 0 && requests.every(({ patienceMs }) => patienceMs === null);
    const bounded = calm && shutdown.atMs === null;
    if (bounded && policy === "fifo" && scenario.budgets === null) this.#longestWaitsMs = longestWaitsMs(scenario);
    else if (bounded && policy === "bounded wait" && hasBound(scenario)) {
      const boundMs = longestBoundedWaitMs(scenario);
      this.#longestWaitsMs = new Map(scenario.models.map(({ spec }) => [spec.id, boundMs]));
    } else this.#longestWaitsMs = null;
  }

  onGrant(lease: Lease): SimulatedRequest {
    const request = this.#waiting(lease.waiter, "is let in");
    const { model } = request.plan;
    const engine = this.#view.engines.get(model);
    const sameModel = lease.model === model;
    demand(sameModel, "runs on an awake engine", () => `#${lease.waiter} wants ${model} and gets ${lease.model}`);
    const state = this.#view.outlook.states.get(model);
    const open = engine.phase === "up" && state === "awake";
    demand(open, "runs on an awake engine", () => `#${lease.waiter} is let in to ${model}, which is ${engine.phase}`);
    this.#waitedShortEnough(request);
    return request;
  }

  onRefuse(waiter: WaiterId, failure: Failure): SimulatedRequest {
    const request = this.#waiting(waiter, "is refused");
    demand(failure.message !== "", "ends exactly once", () => `#${waiter} is refused without a reason`);
    this.#waitedShortEnough(request);
    return request;
  }

  onRevoke(lease: Lease, failure: Failure): SimulatedRequest {
    const request = this.#view.clients.all.get(lease.waiter);
    const out = request?.phase === "running" && request.lease?.id === lease.id;
    demand(out, "revoked once", () => `lease ${lease.id} is revoked and not out`);
    demand(!request.revoked, "revoked once", () => `lease ${lease.id} is revoked twice`);
    // Where it stands still, the end of its engine is its own.
    const endsWithEngine = request.frozenLeftMs !== null && ENDS_OF_SLEEPERS.has(failure.code);
    const dueMs = this.#revocationDueMs(request);
    const due = endsWithEngine || (dueMs !== null && dueMs <= this.#view.clock.nowMs);
    const why = (): string => `lease ${lease.id} is revoked for ${failure.code}, due at ${dueMs} ms`;
    demand(due, "revoked for a reason, and in time", why);
    return request;
  }

  afterEvent(): void {
    const [oldest] = this.#view.clients.waiting;
    if (oldest !== undefined) this.#waitedShortEnough(oldest);
    for (const engine of this.#view.engines.all()) {
      for (const request of this.#view.clients.running(engine.id)) if (!request.revoked) this.#runsInTime(request);
    }
  }

  /** At the end of a run. */
  atEnd(): void {
    for (const { plan, phase } of this.#view.clients.all.values()) {
      const ended = phase !== "waiting" && phase !== "running";
      demand(ended, "ends exactly once", () => `#${plan.id} is ${phase} at the end`);
    }
  }

  #runsInTime(request: SimulatedRequest): void {
    const dueMs = this.#revocationDueMs(request);
    const late = dueMs !== null && this.#view.clock.nowMs > dueMs + this.#view.scenario.alarmLagMs;
    const why = (): string => `#${request.plan.id} still runs, and was to be broken off at ${dueMs} ms`;
    demand(!late, "revoked for a reason, and in time", why);
  }

  /** From when on the lease of a running request may and must be asked back; null when it may run on. */
  #revocationDueMs(request: SimulatedRequest): number | null {
    const { engines, outlook, scenario, shutdownAtMs } = this.#view;
    const { model } = request.plan;
    if (request.crashesBefore !== engines.get(model).crashes) return Number.NEGATIVE_INFINITY;
    if (shutdownAtMs !== null) return shutdownAtMs + scenario.shutdown.timeoutMs;
    const limitMs = this.#drainLimitMs(model);
    if (outlook.states.get(model) !== "draining" || limitMs === null) return null;
    return (outlook.sinceMs.get(model) ?? 0) + limitMs;
  }

  /** A drain for a switch has a budget, if there is one; what runs stands still then where the engine can do that. */
  #drainLimitMs(model: ModelId): number | null {
    const { engines, outlook, scenario } = this.#view;
    const budgetMs = scenario.budgets?.drainBudgetMs ?? null;
    const leaves = [...outlook.switches.values()].some(({ from, extra }) => from.includes(model) || extra === model);
    if (budgetMs === null || !leaves) return scenario.drainTimeoutMs;
    const standsStill = engines.get(model).model.spec.canSuspend === true && outlook.drains.get(model)?.to !== 3;
    return standsStill ? null : budgetMs;
  }

  #waiting(waiter: WaiterId, what: string): SimulatedRequest {
    const request = this.#view.clients.all.get(waiter);
    demand(request !== undefined, "ends exactly once", () => `#${waiter} ${what} before it came`);
    demand(request.phase === "waiting", "ends exactly once", () => `#${waiter} ${what} though it is ${request.phase}`);
    return request;
  }

  #waitedShortEnough({ plan }: SimulatedRequest): void {
    const waitedMs = this.#view.clock.nowMs - plan.atMs;
    const { requestTimeoutMs, alarmLagMs } = this.#view.scenario;
    const timeoutMs = requestTimeoutMs + alarmLagMs;
    const late = (): string => `#${plan.id} has waited ${waitedMs} ms of ${timeoutMs}`;
    demand(waitedMs <= timeoutMs, "waits no longer than the timeout", late);
    const boundMs = this.#longestWaitsMs?.get(plan.model);
    if (boundMs === undefined) return;
    demand(waitedMs <= boundMs, "nobody starves", () => `#${plan.id} has waited ${waitedMs} ms of at most ${boundMs}`);
  }
}

/** Reasons for which a sleeping engine is stopped. */
const ENDS_OF_SLEEPERS: ReadonlySet<Failure["code"]> = new Set([
  "sleep_failed",
  "wake_failed",
  "out_of_memory",
  "drain_timeout",
  "stopped_by_operator",
  "shutting_down",
]);

/** Without a limit to its drains bounded wait promises nothing. */
function hasBound({ budgets, drainTimeoutMs }: Scenario): boolean {
  return budgets !== null && (budgets.drainBudgetMs !== null || drainTimeoutMs !== null);
}
