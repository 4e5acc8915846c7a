/** What an operator can order, and when that has to wait. */
import { failure, type Failure } from "../base/failure.ts";
import type { Engines, ModelRecord } from "./engines.ts";
import type { ModelId } from "./model.ts";
import type { SleepLevel } from "./sleep-level.ts";

/** What an operator can ask for a model. */
export type OperatorCommand = "sleep" | "stop";

/** What follows from an order, for the model as it is now. */
export type OperatorOrder =
  | { readonly kind: "nothing to do" }
  | { readonly kind: "drain"; readonly to: SleepLevel }
  | { readonly kind: "stop" }
  | { readonly kind: "break off"; readonly reason: Failure }
  | { readonly kind: "refused"; readonly reason: Failure };

/** Pure: looks at the model and its devices, and changes nothing. */
export function orderFor(record: ModelRecord, command: OperatorCommand, engines: Engines): OperatorOrder {
  const { id, sleepLevel } = record.spec;
  const obstacle = obstacleToPuttingAway(record, engines);
  switch (record.state.kind) {
    case "awake":
      return obstacle === null ? { kind: "drain", to: command === "stop" ? 3 : sleepLevel } : tryAgain(id, obstacle);
    case "asleep":
      if (command === "sleep") return { kind: "nothing to do" };
      // A sleeper that is stopped frees memory, which confuses an engine that is measuring its own at that moment.
      return obstacle === null ? { kind: "stop" } : tryAgain(id, obstacle);
    case "starting":
    case "waking": {
      const message = `the start of model ${id} was broken off by an operator`;
      return { kind: "break off", reason: failure("stopped_by_operator", message) };
    }
    case "stopped":
    case "failed":
    case "stopping":
      return { kind: "nothing to do" };
    case "draining":
    case "falling asleep":
      break;
  }
  return tryAgain(id, `model ${id} is ${record.state.kind}`);
}

/** Why an engine cannot be put away now, in words; null when it can. */
function obstacleToPuttingAway({ spec }: ModelRecord, engines: Engines): string | null {
  const { devices } = engines;
  for (const id of devices.residentsBeside(spec)) {
    if (engines.get(id).state.kind === "draining") return `model ${id} is draining`;
  }
  return devices.obstacleFor(spec);
}

function tryAgain(model: ModelId, obstacle: string): OperatorOrder {
  const message = `model ${model} cannot be put away now: ${obstacle}; try again when that has ended`;
  return { kind: "refused", reason: failure("invalid_request", message) };
}
