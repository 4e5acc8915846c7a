/** What gateways have in common that stand for one together, each in a thread of its own. One that is alone has it for itself. */
import type { ApiKey } from "./doorkeeper.ts";
import type { QueueView } from "./heart.ts";
import type { KeyCounts } from "./key-counts.ts";
import type { MadeResponses } from "./made-responses.ts";

/** A number that goes up and down. */
export interface Count {
  readonly value: number;
  add(): void;
  remove(): void;
}

/** Common to all of them. */
export interface Commons {
  /** The connections of clients. */
  readonly connections: Count;
  readonly keyCountsOf: (key: ApiKey) => KeyCounts;
  readonly madeResponses: MadeResponses;
  /** Looks at the queues, in which the clients of all of them stand; `done` is called once, later. */
  readonly lookAtQueues: (done: (view: QueueView) => void) => void;
  /** When the first of them began, in ms since 1970. */
  readonly startedAtEpochMs: number;
}

/** Of one gateway alone. */
export class OwnCount implements Count {
  value = 0;

  add(): void {
    this.value += 1;
  }

  remove(): void {
    this.value -= 1;
  }
}
