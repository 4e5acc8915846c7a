/** Deliberate bugs in what the scheduler hears and how it decides, and the rules that must notice them. */
import { everyNth, type KnownBugs } from "./known-bug.ts";
import { newestFirst } from "./newest-first.ts";

/** Bugs between the world's events and the scheduler, in its policy and in its settings. */
export const BUGS_IN_HEARING: KnownBugs = {
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
    noticedBy: ["the core's own assertions"],
  }),
  "does not hear that a client has gone": () => ({
    mutation: { events: (events) => ({ ...events, onAbandoned: () => {} }) },
    noticedBy: ["ends exactly once", "no switch for nobody"],
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
    noticedBy: ["no stall", "nobody starves", "the core's own assertions"],
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
    noticedBy: ["one transition a device", "one model a device", "order fits the engine", "shutdown leaves nothing"],
  }),
  "takes a failed sleep for a good one": () => ({
    mutation: {
      events: (events) => ({ ...events, onSleepFailed: (model, _reason, nowMs) => events.onAsleep(model, nowMs) }),
    },
    noticedBy: ["one model a device", "memory suffices", "order fits the engine", "no stall"],
  }),
  "does not hear of the shutdown": () => ({
    mutation: { events: (events) => ({ ...events, onShutdown: () => {} }) },
    noticedBy: ["no stall", "shutdown wakes nobody"],
  }),
  "takes devices for larger than they are": () => ({
    mutation: {
      options: ({ devices = [], ...options }) => ({
        ...options,
        devices: devices.map(({ id, memoryBytes }) => ({
          id,
          memoryBytes: memoryBytes === null ? null : 2 * memoryBytes,
        })),
      }),
    },
    noticedBy: ["memory suffices"],
  }),
  "does not count the host's memory": () => ({
    mutation: { options: (options) => ({ ...options, hostMemoryBytes: null }) },
    noticedBy: ["memory suffices"],
  }),
  "has requests stand still before their time to end is over": () => ({
    mutation: {
      options: ({ drainBudgetMs = null, ...options }) => ({
        ...options,
        drainBudgetMs: drainBudgetMs === null ? null : drainBudgetMs / 2,
      }),
    },
    noticedBy: ["put away only when drained", "revoked for a reason, and in time"],
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
  "waits for twice the request timeout": () => ({
    mutation: { options: (options) => ({ ...options, requestTimeoutMs: 2 * options.requestTimeoutMs }) },
    noticedBy: ["waits no longer than the timeout"],
  }),
};
