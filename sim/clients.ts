/** The simulated clients and what has become of each request. */
import { assert } from "../src/base/assert.ts";
import type { Lease, LeaseId, LeaseOutcome, WaiterId } from "../src/core/lease.ts";
import type { ModelId } from "../src/core/model.ts";
import type { SimulatedEngine } from "./engines.ts";
import type { PlannedRequest } from "./scenario.ts";
import type { Scheduled, VirtualClock } from "../src/simulation/virtual-clock.ts";

/** One request. It ends as "released", "refused" or "abandoned". */
export interface SimulatedRequest {
  readonly plan: PlannedRequest;
  phase: "waiting" | "running" | "released" | "refused" | "abandoned";
  lease: Lease | null;
  revoked: boolean;
  /** `crashes` of its engine when it was let in: it differs from the engine's once its lease is void. */
  crashesBefore: number;
  /** How often its engine had been started when it was let in. */
  startsBefore: number;
  end: Scheduled | null;
  /** How much of its run is left, in ms, while its engine sleeps around it; null: it does not stand still. */
  frozenLeftMs: number | null;
}

/** Where the clients go with what they do. */
export interface ClientDeeds {
  arrive(request: SimulatedRequest): void;
  abandon(request: SimulatedRequest): void;
  release(lease: LeaseId, outcome: LeaseOutcome, request: SimulatedRequest): void;
}

/** All requests that have arrived. */
export class Clients {
  readonly all = new Map<WaiterId, SimulatedRequest>();
  /** Those that wait, oldest first, all together and by model. */
  readonly waiting = new Set<SimulatedRequest>();
  readonly #waitingFor = new Map<ModelId, Set<SimulatedRequest>>();
  readonly #running = new Map<ModelId, Set<SimulatedRequest>>();
  readonly #clock: VirtualClock;
  readonly #deeds: ClientDeeds;

  constructor(clock: VirtualClock, deeds: ClientDeeds) {
    this.#clock = clock;
    this.#deeds = deeds;
  }

  arrive(plan: PlannedRequest): void {
    const request: SimulatedRequest = {
      plan,
      phase: "waiting",
      lease: null,
      revoked: false,
      crashesBefore: 0,
      startsBefore: 0,
      end: null,
      frozenLeftMs: null,
    };
    this.all.set(plan.id, request);
    this.waiting.add(request);
    this.waitingFor(plan.model).add(request);
    if (plan.patienceMs !== null) this.#clock.after(plan.patienceMs, () => this.#leave(request));
    this.#deeds.arrive(request);
  }

  waitingFor(model: ModelId): Set<SimulatedRequest> {
    return setOf(this.#waitingFor, model);
  }

  /** Those whose lease is out, those with a void one included. */
  running(model: ModelId): Set<SimulatedRequest> {
    return setOf(this.#running, model);
  }

  granted(request: SimulatedRequest, lease: Lease, { crashes, ordered }: SimulatedEngine): void {
    this.#stopWaiting(request);
    request.phase = "running";
    request.lease = lease;
    request.crashesBefore = crashes;
    request.startsBefore = ordered.start;
    this.running(request.plan.model).add(request);
    request.end = this.#clock.after(request.plan.holdMs, () => this.#end(request, request.plan.outcome));
  }

  refused(request: SimulatedRequest): void {
    this.#stopWaiting(request);
    request.phase = "refused";
  }

  revoked(request: SimulatedRequest): void {
    request.revoked = true;
    this.#endWithin(request, request.plan.revokedMs, "failed");
  }

  /** The engine's process has died: what ran there breaks. */
  broken(model: ModelId): void {
    for (const request of this.running(model)) this.#endWithin(request, request.plan.revokedMs, "failed");
  }

  /** What runs on this model stands still; its clients may still go away. */
  freeze(model: ModelId): void {
    for (const request of this.running(model)) {
      assert(request.end !== null, "a request runs without an end");
      request.frozenLeftMs = request.end.atMs - this.#clock.nowMs;
      request.end.run = null;
    }
  }

  /** It goes on. */
  thaw(model: ModelId): void {
    for (const request of this.running(model)) {
      const { frozenLeftMs } = request;
      if (frozenLeftMs === null) continue;
      request.frozenLeftMs = null;
      request.end = this.#clock.after(frozenLeftMs, () => this.#end(request, request.plan.outcome));
    }
  }

  #endWithin(request: SimulatedRequest, delayMs: number, outcome: LeaseOutcome): void {
    assert(request.end !== null, "a request runs without an end");
    if (request.frozenLeftMs === null && request.end.atMs <= this.#clock.nowMs + delayMs) return;
    request.frozenLeftMs = null;
    request.end.run = null;
    request.end = this.#clock.after(delayMs, () => this.#end(request, outcome));
  }

  #end(request: SimulatedRequest, outcome: LeaseOutcome): void {
    assert(request.phase === "running" && request.lease !== null, "a request ends that does not run");
    request.phase = "released";
    this.running(request.plan.model).delete(request);
    this.#deeds.release(request.lease.id, outcome, request);
  }

  #leave(request: SimulatedRequest): void {
    // The word that the client is gone may cross with the grant; it must do no harm then.
    if (request.phase === "waiting") {
      this.#stopWaiting(request);
      request.phase = "abandoned";
      this.#deeds.abandon(request);
    } else if (request.phase === "running") {
      this.#deeds.abandon(request);
      if (request.end !== null) request.end.run = null;
      this.#end(request, "abandoned");
    }
  }

  #stopWaiting(request: SimulatedRequest): void {
    this.waiting.delete(request);
    this.waitingFor(request.plan.model).delete(request);
  }
}

function setOf(sets: Map<ModelId, Set<SimulatedRequest>>, model: ModelId): Set<SimulatedRequest> {
  let set = sets.get(model);
  if (set === undefined) {
    set = new Set();
    sets.set(model, set);
  }
  return set;
}
