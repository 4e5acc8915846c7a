/** A broken rule: the reason why a run of the simulation fails. */

/** The rules that the simulation holds the scheduler to; what each says is told where it is checked. */
export type Rule =
  | "one model a device"
  | "memory suffices"
  | "one transition a device"
  | "order fits the engine"
  | "backoff"
  | "minimum stay"
  | "runs on an awake engine"
  | "put away only when drained"
  | "ends exactly once"
  | "revoked once"
  | "revoked for a reason, and in time"
  | "waits no longer than the timeout"
  | "nobody starves"
  | "failed wake turns away"
  | "awake lets in"
  | "drain ends"
  | "no lost wake-up"
  | "no stall"
  | "no switch for nobody"
  | "switches are told to their end"
  | "shutdown wakes nobody"
  | "shutdown leaves nothing"
  | "the core's own assertions";

/** Thrown by a checker, and caught by the run. */
export class Violation extends Error {
  override readonly name = "Violation";
  readonly rule: Rule;

  constructor(rule: Rule, message: string) {
    super(message);
    this.rule = rule;
  }
}

/** Throws a `Violation` of `rule` unless `condition` holds. `message` is made only then. */
export function demand(condition: boolean, rule: Rule, message: () => string): asserts condition {
  if (!condition) throw new Violation(rule, message());
}
