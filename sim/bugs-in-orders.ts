/** Deliberate bugs in what the scheduler asks for, and the rules that must notice them. */
import type { Effects } from "../src/core/effects.ts";
import { failure } from "../src/base/failure.ts";
import type { Lease } from "../src/core/lease.ts";
import { everyNth, type KnownBugs } from "./known-bug.ts";

/** Bugs between the scheduler's effects and the world. */
export const BUGS_IN_ORDERS: KnownBugs = {
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
        sleep: (model, level, running) => {
          effects.sleep(model, level, running);
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
    noticedBy: ["revoked for a reason, and in time", "waits no longer than the timeout", "no lost wake-up", "no stall"],
  }),
  "wakes up late": () => ({
    mutation: {
      effects: (effects) => ({
        ...effects,
        alarmAt: (timeMs) => effects.alarmAt(timeMs === null ? null : timeMs + 100),
      }),
    },
    noticedBy: ["revoked for a reason, and in time", "waits no longer than the timeout", "no lost wake-up"],
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
  "asks for leases back that may run on": () => ({
    mutation: {
      effects: (effects) => ({
        ...effects,
        grant: everyNth(
          5,
          (lease) => effects.grant(lease),
          (lease) => {
            effects.grant(lease);
            effects.revoke(lease, failure("drain_timeout", "for nothing"));
          },
        ),
      }),
    },
    noticedBy: ["revoked for a reason, and in time"],
  }),
  "does not ask for leases back": () => ({
    mutation: { effects: (effects) => ({ ...effects, revoke: () => {} }) },
    noticedBy: ["revoked for a reason, and in time"],
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
    noticedBy: ["switches are told to their end", "no switch for nobody", "one transition a device"],
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
    noticedBy: ["backoff", "one model a device", "memory suffices"],
  }),
};

function alsoSleep(effects: Pick<Effects, "grant" | "sleep">) {
  return (lease: Lease): void => {
    effects.grant(lease);
    effects.sleep(lease.model, 1, "none");
  };
}
