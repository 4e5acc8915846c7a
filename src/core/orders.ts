/** Engines that are put away though nobody needs their room: an operator wants it so, or nobody has used them for long. */
import { failure, type Failure } from "../base/failure.ts";
import type { Admission } from "./admission.ts";
import type { Deciding } from "./deciding.ts";
import type { Drains } from "./drains.ts";
import type { Endings } from "./endings.ts";
import type { Engines, ModelRecord } from "./engines.ts";
import type { HostMemory } from "./host-memory.ts";
import { orderFor, type OperatorCommand } from "./operator.ts";
import type { SleepLevel } from "./sleep-level.ts";
import type { Switches } from "./switches.ts";

interface Parts {
  readonly engines: Engines;
  readonly admission: Admission;
  readonly drains: Drains;
  readonly switches: Switches;
  readonly host: HostMemory;
  readonly endings: Endings;
  readonly deciding: Deciding;
}

/** Running requests are drained first. */
export class Orders {
  readonly #parts: Parts;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** Returns null, or why nothing is done. */
  give(record: ModelRecord, command: OperatorCommand, nowMs: number): Failure | null {
    const order = orderFor(record, command, this.#parts.engines);
    switch (order.kind) {
      case "nothing to do":
        break;
      case "refused":
        return order.reason;
      case "stop":
        this.#parts.endings.stop(record, stoppedByOperator(record), nowMs);
        break;
      case "drain":
        this.#drain(record, order.to, nowMs);
        break;
      case "break off":
        this.#breakOff(record, order.reason, nowMs);
        break;
    }
    return null;
  }

  /** One on which nothing runs goes to sleep. */
  putToSleep(record: ModelRecord, nowMs: number): void {
    this.#drain(record, record.spec.sleepLevel, nowMs);
  }

  #drain(record: ModelRecord, to: SleepLevel, nowMs: number): void {
    const { drains, host, deciding } = this.#parts;
    // Deeper than it was asked for, where the host has no memory left.
    const level = to === 1 ? host.bedFor(record, () => false).level : to;
    drains.begin(record, level, { for: "order" }, nowMs);
    if (record.leases.size === 0) drains.ended(record, nowMs);
    deciding.changed(record);
  }

  #breakOff(record: ModelRecord, reason: Failure, nowMs: number): void {
    const { engines, admission, switches, deciding } = this.#parts;
    record.lastFailure = reason;
    admission.voidAll(record, reason, nowMs);
    engines.stop(record, reason, nowMs);
    switches.targetFailed(record, reason, nowMs);
    admission.refuseAllWaiting(record, reason, nowMs);
    // The switch may have held more devices than the engine that is stopped now.
    deciding.changed(record);
  }
}

function stoppedByOperator({ spec }: ModelRecord): Failure {
  return failure("stopped_by_operator", `the engine of model ${spec.id} was stopped by an operator`);
}
