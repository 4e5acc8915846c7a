/** The header with which a client says how much its request weighs beside others. */
import { failure, type Failure } from "../base/failure.ts";
import type { Priority } from "../core/model.ts";

/** Its name, as it stands in requests. It is not forwarded. */
export const PRIORITY_HEADER = "x-llmux-priority";

const PRIORITIES: ReadonlyMap<string, Priority> = new Map([
  ["low", "low"],
  ["normal", "normal"],
  ["high", "high"],
]);

/** A wrong value is repeated up to here. */
const SHOWN_MAX = 50;

/** Undefined where the client says nothing: then the model's own priority counts. */
export function readPriority(value: string | null): Priority | Failure | undefined {
  if (value === null) return undefined;
  const found = PRIORITIES.get(value);
  if (found !== undefined) return found;
  const shown = JSON.stringify(value.length > SHOWN_MAX ? `${value.slice(0, SHOWN_MAX)}…` : value);
  return failure("invalid_request", `The header ${PRIORITY_HEADER} must be low, normal or high, and it is ${shown}.`);
}
