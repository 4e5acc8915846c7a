/** Deliberate bugs, each of a kind that a scheduler could have, and the rules that must notice it. */
import { failure } from "../src/base/failure.ts";
import type { Lease } from "../src/core/lease.ts";
import { newestFirst } from "./newest-first.ts";
import type { Mutation } from "./simulate.ts";
import type { Rule } from "./violation.ts";

/** A bug and who may notice it first. */
export interface KnownBug {
  readonly mutation: Mutation;
  readonly noticedBy: readonly Rule[];
}

const CORE: Rule = "the core's own assertions";

/** By a sentence that says what the bug does. Each is made anew for every run, since some of them count. */
export const KNOWN_BUGS: Readonly<Record<string, () => KnownBug>> = {
  "drops a release": () => ({
    mutation: {
      events: (events) => ({
        ...events,
        onReleased: everyNth(
          5,
          (...args) => events.onReleased(...args),
          () => {},
        ),
      }),
    },
    noticedBy: ["drain ends", "no stall"],
  }),
  "hands a lease in twice": () => ({
    mutation: {
      events: (events) => ({
        ...events,
        onReleased: everyNth(
          5,
          (...args) => events.onReleased(...args),
          (lease, outcome, nowMs) => {
            events.onReleased(lease, outcome, nowMs);
            events.onReleased(lease, outcome, nowMs);
          },
        ),
      }),
    },
    noticedBy: [CORE],
  }),
  "grants twice": () => ({
    mutation: {
      effects: (effects) => ({
        ...effects,
        grant: everyNth(
          7,
          (...args) => effects.grant(...args),
          (lease) => {
            effects.grant(lease);
            effects.grant(lease);
          },
        ),
      }),
    },
    noticedBy: ["ends exactly once"],
  }),
  "forgets a grant": () => ({
    mutation: {
      effects: (effects) => ({
        ...effects,
        grant: everyNth(
          7,
          (...args) => effects.grant(...args),
          () => {},
        ),
      }),
    },
    noticedBy: ["awake lets in", "waits no longer than the timeout", "drain ends"],
  }),
  "refuses whom it lets in": () => ({
    mutation: {
      effects: (effects) => ({
        ...effects,
        grant: everyNth(
          7,
          (...args) => effects.grant(...args),
          (lease) => {
            effects.grant(lease);
            effects.refuse(lease.waiter, failure("internal_error", "both"));
          },
        ),
      }),
    },
    noticedBy: ["ends exactly once"],
  }),
  "forgets to refuse": () => ({
    mutation: { effects: (effects) => ({ ...effects, refuse: () => {} }) },
    noticedBy: ["waits no longer than the timeout", "failed wake turns away", "no stall", "ends exactly once"],
  }),
  "does not hear that a client has gone": () => ({
    mutation: { events: (events) => ({ ...events, onAbandoned: () => {} }) },
    noticedBy: ["ends exactly once"],
  }),
  "sleeps with a lease out": () => ({
    mutation: { effects: (effects) => ({ ...effects, grant: alsoSleep(effects) }) },
    noticedBy: ["put away only when drained"],
  }),
  "stops with a lease out": () => ({
    mutation: {
      effects: (effects) => ({
        ...effects,
        grant: (lease) => {
          effects.grant(lease);
          effects.stop(lease.model);
        },
      }),
    },
    noticedBy: ["put away only when drained"],
  }),
  "wakes into an occupied device": () => ({
    mutation: {
      effects: (effects, world) => ({
        ...effects,
        start: (model) => {
          effects.start(model);
          for (const engine of world.engines.all()) if (engine.phase === "off") effects.start(engine.id);
        },
      }),
    },
    noticedBy: ["one model a device"],
  }),
  "starts what runs already": () => ({
    mutation: {
      effects: (effects) => ({
        ...effects,
        start: (model) => {
          effects.start(model);
          effects.start(model);
        },
      }),
    },
    noticedBy: ["order fits the engine"],
  }),
  "wakes from the wrong level": () => ({
    mutation: {
      effects: (effects) => ({ ...effects, wake: (model, from) => effects.wake(model, from === 1 ? 2 : 1) }),
    },
    noticedBy: ["order fits the engine"],
  }),
  "sleeps two engines of one device at once": () => ({
    mutation: {
      effects: (effects, world) => ({
        ...effects,
        sleep: (model, level) => {
          effects.sleep(model, level);
          for (const engine of world.engines.all()) if (engine.phase === "asleep") effects.stop(engine.id);
        },
      }),
    },
    noticedBy: ["one transition a device"],
  }),
  "forgets an order to stop": () => ({
    mutation: {
      effects: (effects) => ({
        ...effects,
        stop: everyNth(
          4,
          (...args) => effects.stop(...args),
          () => {},
        ),
      }),
    },
    noticedBy: ["no stall", "drain ends", "order fits the engine", "waits no longer than the timeout"],
  }),
  "forgets an order to sleep": () => ({
    mutation: {
      effects: (effects) => ({
        ...effects,
        sleep: everyNth(
          4,
          (...args) => effects.sleep(...args),
          () => {},
        ),
      }),
    },
    noticedBy: ["no stall", "no lost wake-up", "nobody starves", "waits no longer than the timeout"],
  }),
  "does not hear that an engine is awake": () => ({
    mutation: {
      events: (events) => ({
        ...events,
        onAwake: everyNth(
          4,
          (...args) => events.onAwake(...args),
          () => {},
        ),
      }),
    },
    noticedBy: ["no stall", "nobody starves", CORE],
  }),
  "does not hear that an engine has stopped": () => ({
    mutation: {
      events: (events) => ({
        ...events,
        onStopped: everyNth(
          3,
          (...args) => events.onStopped(...args),
          () => {},
        ),
      }),
    },
    noticedBy: ["no stall", "no lost wake-up"],
  }),
  "takes a failed wake for a good one": () => ({
    mutation: {
      events: (events) => ({ ...events, onWakeFailed: (model, _reason, nowMs) => events.onAwake(model, nowMs) }),
    },
    noticedBy: ["runs on an awake engine"],
  }),
  "takes a failed stop for a good one": () => ({
    mutation: {
      events: (events) => ({ ...events, onStopFailed: (model, _reason, nowMs) => events.onStopped(model, nowMs) }),
    },
    noticedBy: ["one model a device", "order fits the engine", "shutdown leaves nothing"],
  }),
  "takes a failed sleep for a good one": () => ({
    mutation: {
      events: (events) => ({ ...events, onSleepFailed: (model, _reason, nowMs) => events.onAsleep(model, nowMs) }),
    },
    noticedBy: ["one model a device", "order fits the engine", "no stall"],
  }),
  "forgets an alarm": () => ({
    mutation: {
      effects: (effects) => ({
        ...effects,
        alarmAt: everyNth(
          3,
          (...args) => effects.alarmAt(...args),
          () => effects.alarmAt(null),
        ),
      }),
    },
    noticedBy: ["waits no longer than the timeout", "no lost wake-up", "no stall"],
  }),
  "wakes up late": () => ({
    mutation: {
      effects: (effects) => ({
        ...effects,
        alarmAt: (timeMs) => effects.alarmAt(timeMs === null ? null : timeMs + 100),
      }),
    },
    noticedBy: ["waits no longer than the timeout", "no lost wake-up"],
  }),
  "leaves its alarm armed at the end": () => ({
    mutation: {
      effects: (effects, world) => ({
        ...effects,
        finished: () => {
          effects.finished();
          effects.alarmAt(world.clock.nowMs + 1);
        },
        alarmAt: (timeMs) => (timeMs === null ? undefined : effects.alarmAt(timeMs)),
      }),
    },
    noticedBy: ["shutdown leaves nothing"],
  }),
  "asks for a lease back twice": () => ({
    mutation: {
      effects: (effects) => ({
        ...effects,
        revoke: (lease, reason) => {
          effects.revoke(lease, reason);
          effects.revoke(lease, reason);
        },
      }),
    },
    noticedBy: ["revoked once"],
  }),
  "does not hear of the shutdown": () => ({
    mutation: { events: (events) => ({ ...events, onShutdown: () => {} }) },
    noticedBy: ["no stall", "shutdown wakes nobody"],
  }),
  "ends the shutdown too early": () => ({
    mutation: {
      effects: (effects) => ({
        ...effects,
        stop: (model) => {
          effects.stop(model);
          effects.finished();
        },
      }),
    },
    noticedBy: ["shutdown leaves nothing"],
  }),
  "does not tell that the shutdown has ended": () => ({
    mutation: { effects: (effects) => ({ ...effects, finished: () => {} }) },
    noticedBy: ["no stall"],
  }),
  "does not tell of a cancelled switch": () => ({
    mutation: {
      effects: (effects) => ({
        ...effects,
        record: (entry) => (entry.kind === "switch cancelled" ? undefined : effects.record(entry)),
      }),
    },
    noticedBy: ["switches are told to their end"],
  }),
  "ignores the minimum stay": () => ({
    mutation: { options: (options) => ({ ...options, policy: newestFirst({ minActiveMs: 0 }) }) },
    noticedBy: ["minimum stay"],
  }),
  "serves those who came last first": () => ({
    mutation: {
      options: (options) => ({ ...options, policy: newestFirst({ minActiveMs: 10_000 }) }),
    },
    noticedBy: ["nobody starves", "waits no longer than the timeout", "no lost wake-up"],
  }),
  "decides nothing": () => ({
    mutation: { options: (options) => ({ ...options, policy: () => ({ kind: "stay", askAgainAtMs: null }) }) },
    noticedBy: ["no lost wake-up"],
  }),
  "decides once, and does not ask itself again": () => ({
    mutation: {
      options: (options) => ({
        ...options,
        policy: (view) => {
          const decision = options.policy(view);
          return decision.kind === "stay" ? { kind: "stay", askAgainAtMs: null } : decision;
        },
      }),
    },
    noticedBy: ["no lost wake-up"],
  }),
  "tries a failed model again at once": () => ({
    mutation: {
      effects: (effects, world) => ({
        ...effects,
        refuse: (waiter, reason) => {
          effects.refuse(waiter, reason);
          const model = world.clients.all.get(waiter)?.plan.model;
          if (model !== undefined && reason.retryAfterMs !== undefined && world.engines.get(model).phase === "off") {
            effects.start(model);
          }
        },
      }),
    },
    noticedBy: ["backoff", "one model a device"],
  }),
  "waits for twice the request timeout": () => ({
    mutation: { options: (options) => ({ ...options, requestTimeoutMs: 2 * options.requestTimeoutMs }) },
    noticedBy: ["waits no longer than the timeout"],
  }),
};

/** `instead` at each n-th call, `usual` otherwise. */
function everyNth<A extends readonly unknown[]>(
  n: number,
  usual: (...args: A) => void,
  instead: (...args: NoInfer<A>) => void,
): (...args: A) => void {
  let calls = 0;
  return (...args) => {
    calls += 1;
    (calls % n === 0 ? instead : usual)(...args);
  };
}

function alsoSleep(effects: { grant(lease: Lease): void; sleep(model: string, level: 1 | 2): void }) {
  return (lease: Lease): void => {
    effects.grant(lease);
    effects.sleep(lease.model, 1);
  };
}
