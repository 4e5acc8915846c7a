/** What must be left when llmux has ended: nothing. */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import type { SimulatedEngines } from "./engines.ts";
import type { LlmuxLife } from "./llmux-life.ts";
import type { Referee } from "./referee.ts";

/** What is looked at. */
export interface Remains {
  readonly referee: Referee;
  readonly life: LlmuxLife;
  readonly engines: SimulatedEngines;
  readonly stateDir: string;
  /** It has drained; else it was killed by a second signal. */
  readonly isOrderly: boolean;
  /** Those that it has given up ending. */
  readonly stubborn: readonly string[];
}

/**
 * Rule "the end leaves nothing": no process, no timer, no listener, no connection, no call, no lock; and after an orderly end
 * no lease, nobody who waits, and no record on disk of an engine but of those that the next start must end.
 */
export function checkWhatIsLeft({ referee, life, engines, stateDir, isOrderly, stubborn }: Remains): void {
  const nothing = (condition: boolean, message: () => string): void =>
    referee.demand(condition, "the end leaves nothing", message);
  const { living } = engines.processes;
  nothing(living.length === 0, () => `${living.map(({ commandLine }) => commandLine).join("; ")} are left`);
  nothing(life.clock.timersLeft === 0, () => `${life.clock.timersLeft} timers are left`);
  nothing(life.network.listening.length === 0, () => `${life.network.listening.join()} still listen`);
  nothing(life.network.open === 0, () => `${life.network.open} connections are open`);
  const { pools, requests, calls } = life.connections.open;
  nothing(requests === 0 && calls === 0, () => `${requests} requests and ${calls} calls to engines are open`);
  nothing(!life.holdsLock, () => "the state folder is locked");
  if (!isOrderly) return;
  nothing(pools === 0, () => `${pools} connection pools are open`);
  const records = recordsIn(stateDir);
  const expected = stubborn.map((model) => `${model}.json`).toSorted();
  const areThose = records.toSorted().join(", ") === expected.join(", ");
  nothing(areThose, () => `records of engines are left: ${records.join(", ")}, and not ${expected.join(", ")}`);
  life.books.checkEnd();
  const { phase, models } = life.app.snapshot();
  nothing(phase === "finished", () => `the scheduler is ${phase}`);
  for (const { id, waiting, inFlight } of models) {
    nothing(waiting === 0 && inFlight === 0, () => `${id} has ${waiting} waiting and ${inFlight} in flight`);
  }
}

function recordsIn(stateDir: string): readonly string[] {
  try {
    return readdirSync(join(stateDir, "engines"));
  } catch {
    return [];
  }
}
