/** Random trouble for a scenario of the whole app. */
import { unreachable } from "../../src/base/assert.ts";
import type { Random } from "../../src/simulation/random.ts";
import type {
  AppFault,
  CallFault,
  ControlCall,
  CrashForm,
  CrashState,
  PlannedClient,
  RequestFault,
  SimulatedModel,
} from "./scenario.ts";

const CRASH_STATES: readonly CrashState[] = [
  "starting",
  "awake",
  "answering",
  "answering",
  "falling asleep",
  "asleep",
  "waking",
];
const CRASH_FORMS: readonly CrashForm[] = ["all", "leader", "core"];
const CALL_FAULTS: readonly CallFault[] = [
  "500",
  "500 but done",
  "answer lost",
  "hangs",
  "slow",
  "200 but nothing done",
];
const REQUEST_FAULTS: readonly RequestFault[] = [
  "500",
  "400",
  "refuses the connection",
  "resets before the answer",
  "resets in the answer",
];

const KINDS = [
  "call",
  "call",
  "call",
  "call",
  "crash",
  "crash",
  "crash",
  "request",
  "request",
  "stall",
  "start",
  "spawn",
  "stop",
] as const;

/** None, a few, or many. */
export function generateFaults(
  random: Random,
  models: readonly SimulatedModel[],
  clients: readonly PlannedClient[],
): AppFault[] {
  const faults: AppFault[] = [];
  for (let left = random.pick([1, 3, 8, 20]); left > 0; left -= 1) {
    const kind = random.pick(KINDS);
    const sleepers = models.filter(({ sleepLevel }) => sleepLevel < 3);
    const model = random.pick(kind === "call" && sleepers.length > 0 ? sleepers : models);
    // Most are on the first occasions, or they would never come to pass.
    const nth = random.pick([1, 1, 1, 1, 2, 2, 3]);
    // Several in a row: a stop is tried again, a wait between two tries doubles.
    const repeats = random.pick([1, 1, 1, 2, 4]);
    const make = oneFault(random, kind, model, clients);
    for (let more = 0; more < repeats; more += 1) faults.push(...make(nth + more));
  }
  return faults;
}

/** The fault, for each `nth`. */
function oneFault(
  random: Random,
  kind: (typeof KINDS)[number],
  { name: model, sleepLevel, port }: SimulatedModel,
  clients: readonly PlannedClient[],
): (nth: number) => readonly AppFault[] {
  switch (kind) {
    case "call": {
      const calls: readonly ControlCall[] = sleepLevel === 2 ? ["sleep", "wake", "reload"] : ["sleep", "wake"];
      const [call, does] = [random.pick(calls), random.pick(CALL_FAULTS)];
      // A reload that does nothing and says that it has is seen by nobody.
      return (nth) =>
        call === "reload" && does === "200 but nothing done" ? [] : [{ kind: "call", model, call, nth, does }];
    }
    case "crash": {
      const [during, how] = [random.pick(CRASH_STATES), random.pick(CRASH_FORMS)];
      const afterMs = random.pick([0, random.int(0, 100), random.int(0, 5000)]);
      return (nth) => [{ kind: "crash", model, during, nth, afterMs, how }];
    }
    case "request": {
      const [client, does] = [random.pick(clients).id, random.pick(REQUEST_FAULTS)];
      return (nth) => [{ kind: "request", client, nth, does }];
    }
    case "stall": {
      const { id: client, pieces } = random.pick(clients);
      const [piece, forMs] = [random.int(0, pieces), random.chance(0.6) ? random.int(100, 60_000) : null];
      return (nth) => (nth > 2 ? [] : [{ kind: "stall", client, piece, forMs }]);
    }
    case "start": {
      const does = random.pick(["never ready", "slow", "slow"] as const);
      return (nth) => [{ kind: "start", model, nth, does }];
    }
    case "spawn": {
      const what = port === null || random.chance(0.5) ? "spawn fails" : "port taken";
      return (nth) => [{ kind: what, model, nth }];
    }
    case "stop": {
      const forMs = random.pick([500, 4000, 20_000]);
      const isStubborn = random.chance(0.5);
      return (nth) => [
        isStubborn ? { kind: "hangs in the kernel", model, nth, forMs } : { kind: "ignores SIGTERM", model, nth },
      ];
    }
  }
  return unreachable(kind);
}
