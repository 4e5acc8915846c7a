/** When the policy is asked, and what follows from its answers. */
import { assert } from "../base/assert.ts";
import { candidateOf, candidatesOn, isCandidate, newMoment } from "./candidates.ts";
import type { DrainTimes } from "./drain-times.ts";
import type { Engines, ModelRecord } from "./engines.ts";
import type { ForcedCredit } from "./forced-credit.ts";
import type { Island } from "./island.ts";
import type { ModelId } from "./model.ts";
import { loadOf } from "./placement.ts";
import type { Candidate, Decision, Holds, Policy, Verdict } from "./policy.ts";
import type { SwitchCosts } from "./switch-cost.ts";
import type { Switches } from "./switches.ts";
import type { Timers } from "./timers.ts";
import type { Visits } from "./visits.ts";

interface Parts {
  readonly engines: Engines;
  readonly switches: Switches;
  readonly costs: SwitchCosts;
  readonly visits: Visits;
  readonly drainTimes: DrainTimes;
  readonly forcedCredit: ForcedCredit | null;
  readonly timers: Timers;
  readonly policy: Policy;
}

/** With so many models that wait, not everyone who comes or goes is a reason to ask at once, but only to ask within a second. */
const MANY_WAITING = 32;
const SOON_MS = 1_000;

const NOTHING_CAN_BEGIN: Holds = {
  pressingWeightAtMost: Infinity,
  loadAtLeast: 0,
  keptDevices: new Set(),
  leaversMatter: false,
};

/** As many candidates of a decision are written down. */
const COMPARED_MAX = 10;

/** Islands that must be looked at are collected during an event and looked at when it is over. */
export class Deciding {
  readonly #parts: Parts;
  readonly #due = new Set<Island>();

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** An engine has changed, or a switch has: everything may be different. */
  changed(record: ModelRecord): void {
    this.#due.add(record.island);
  }

  /** One more waits for this model. */
  arrived(record: ModelRecord, nowMs: number): void {
    const { island, queue, suspendedSinceMs } = record;
    if (record.state.kind === "awake") return;
    const { holds } = island;
    if (holds === null) this.#due.add(island);
    else if (queue.length === 1 && suspendedSinceMs === null) this.#askAbout(record, holds, nowMs);
    else if (queue.pressingWeight > holds.pressingWeightAtMost) this.#askAbout(record, holds, nowMs);
  }

  /** A request of this model has ended. */
  released(record: ModelRecord, nowMs: number): void {
    const { island } = record;
    const { holds } = island;
    if (holds === NOTHING_CAN_BEGIN) return;
    const load = loadOf(record);
    if (holds === null || load === 0 || load < holds.loadAtLeast) this.#due.add(island);
    else this.granted(record, nowMs);
  }

  /** A request of this model was let in: where memory is counted, it may be another one now who is to make room. */
  granted({ island, spec, leases }: ModelRecord, nowMs: number): void {
    if (island.waiting.size === 0 || island.holds === NOTHING_CAN_BEGIN) return;
    for (const { memoryBytes, residents } of this.#parts.engines.devices.of(spec)) {
      if (memoryBytes !== null && (residents.size > 1 || leases.size === 1)) return this.#askSoon(island, nowMs);
    }
  }

  /** Somebody does not wait for this model any more: others may come first now. */
  left(record: ModelRecord, wasOldest: boolean, nowMs: number): void {
    const { island, queue } = record;
    // It is awake, and has less to do than before.
    if (record.state.kind === "awake") this.released(record, nowMs);
    // A sleeper whom nobody wants any more can be ended where memory is counted.
    const isFree = queue.length === 0 && this.#countsMemory(record);
    const matters = island.holds?.leaversMatter !== false && (wasOldest || queue.length === 0);
    if ((matters || isFree) && island.holds !== NOTHING_CAN_BEGIN) this.#askSoon(island, nowMs);
  }

  /** Looks at all islands for which there was a reason. */
  decide(nowMs: number): void {
    for (const island of this.#due) {
      this.#due.delete(island);
      this.#consider(island, nowMs);
    }
  }

  /** Whom the policy would wake after a drain. */
  chooseAgain(records: readonly ModelRecord[], nowMs: number): ModelId {
    const { policy } = this.#parts;
    assert(policy.chooseAgain !== undefined, "the policy does not choose again");
    const moment = newMoment(nowMs);
    const candidates = records.map((record) => candidateOf(record, this.#parts, moment));
    return policy.chooseAgain({ nowMs, candidates });
  }

  /** How the policy sees those that wait for an engine on this island, the best first. */
  explain(island: Island, nowMs: number): readonly Verdict[] {
    const { possible, impossible } = candidatesOn(island, this.#parts, nowMs);
    const { explain } = this.#parts.policy;
    if (explain === undefined) return [];
    return [possible, impossible].flatMap((candidates) =>
      candidates.length === 0 ? [] : explain({ nowMs, candidates }),
    );
  }

  #consider(island: Island, nowMs: number): void {
    for (;;) {
      if (this.#isBusy(island)) {
        this.#parts.timers.cancel(island.timer);
        island.timer = null;
        island.holds = NOTHING_CAN_BEGIN;
        return;
      }
      const { possible: candidates } = candidatesOn(island, this.#parts, nowMs);
      this.#parts.timers.cancel(island.timer);
      island.timer = null;
      island.holds = null;
      if (candidates.length === 0) return;
      const decision = this.#parts.policy({ nowMs, candidates });
      if (decision.kind === "switch") {
        this.#begin(decision, candidates, nowMs);
        continue;
      }
      island.holds = decision.holds ?? null;
      if (decision.askAgainAtMs !== null) this.#askAt(island, decision.askAgainAtMs, nowMs);
      return;
    }
  }

  /** On every device of it something is under way already: whoever waits, nothing can begin, and the engines will tell. */
  #isBusy({ devices }: Island): boolean {
    for (const id of devices) {
      const { switch: change, inTransition } = this.#parts.engines.devices.get(id);
      if (change === null && inTransition.size === 0) return false;
    }
    return true;
  }

  /** Asks about this model alone: what waits for others has not changed, so only it can be a reason to decide anything else. */
  #askAbout(record: ModelRecord, holds: Holds, nowMs: number): void {
    const { island } = record;
    if (
      holds === NOTHING_CAN_BEGIN ||
      !isCandidate(record) ||
      record.spec.devices.some((device) => holds.keptDevices.has(device))
    )
      return;
    const moment = newMoment(nowMs);
    const candidate = candidateOf(record, this.#parts, moment);
    if (moment.impossible.has(candidate)) return;
    const decision = this.#parts.policy({ nowMs, candidates: [candidate] });
    if (decision.kind === "switch" || decision.holds === undefined) {
      this.#due.add(island);
      return;
    }
    const { pressingWeightAtMost, loadAtLeast } = decision.holds;
    island.holds = {
      pressingWeightAtMost: Math.min(holds.pressingWeightAtMost, pressingWeightAtMost),
      loadAtLeast: Math.max(holds.loadAtLeast, loadAtLeast),
      keptDevices: holds.keptDevices,
      leaversMatter: holds.leaversMatter || decision.holds.leaversMatter,
    };
    if (decision.askAgainAtMs !== null) this.#askBy(island, decision.askAgainAtMs);
  }

  #countsMemory({ spec }: ModelRecord): boolean {
    return this.#parts.engines.devices.of(spec).some(({ memoryBytes }) => memoryBytes !== null);
  }

  #askSoon(island: Island, nowMs: number): void {
    if (island.waiting.size <= MANY_WAITING) this.#due.add(island);
    else this.#askBy(island, nowMs + SOON_MS);
  }

  #begin(decision: Extract<Decision, { kind: "switch" }>, candidates: readonly Candidate[], nowMs: number): void {
    const { engines, forcedCredit, switches, policy } = this.#parts;
    const target = engines.get(decision.to);
    forcedCredit?.spend(target.spec.devices, decision.forcedCostMs ?? 0, nowMs);
    const compared = policy.explain?.({ nowMs, candidates: shortList(candidates, decision.to) }) ?? [];
    switches.begin(target, { cause: "requests", because: decision.because, compared }, nowMs);
  }

  #askAt(island: Island, atMs: number, nowMs: number): void {
    assert(atMs > nowMs, `the policy wants to be asked again at ${atMs}, and it is ${nowMs}`);
    island.timer = this.#parts.timers.add(atMs, () => {
      island.timer = null;
      this.#due.add(island);
    });
  }

  #askBy(island: Island, atMs: number): void {
    if (island.timer !== null && island.timer.atMs <= atMs) return;
    this.#parts.timers.cancel(island.timer);
    island.timer = this.#parts.timers.add(atMs, () => {
      island.timer = null;
      this.#due.add(island);
    });
  }
}

/** The chosen one and the ones with the longest queues: enough to see what it was weighed against. */
function shortList(candidates: readonly Candidate[], chosen: ModelId): readonly Candidate[] {
  if (candidates.length <= COMPARED_MAX) return candidates;
  const others = candidates.filter(({ model }) => model !== chosen).toSorted((a, b) => b.weight - a.weight);
  return [...candidates.filter(({ model }) => model === chosen), ...others.slice(0, COMPARED_MAX - 1)];
}
