/** One change of who is awake: drain those who must leave, put them away, wake the one that is wanted. */
import type { ModelId } from "./model.ts";

/**
 * | phase    | until                                      | can be cancelled                         |
 * |----------|--------------------------------------------|------------------------------------------|
 * | draining | no victim has a lease                      | yes: the victims' gates open again       |
 * | evicting | nobody's memory changes on its devices     | yes: no wake follows                     |
 * | waking   | the target is awake, or has failed         | no: it will be wanted                    |
 */
export type SwitchPhase = "draining" | "evicting" | "waking";

/** A switch under way. Its target and victims belong to no other switch. */
export interface Switch {
  readonly target: ModelId;
  readonly victims: readonly ModelId[];
  readonly startedAtMs: number;
  phase: SwitchPhase;
  drainedAtMs: number | null;
}

/** How metrics and logs name the side that leaves: the victims, or "idle" when nobody had to leave: dashboards know this word. */
export function fromLabel(victims: readonly ModelId[]): string {
  return victims.length === 0 ? "idle" : victims.join("+");
}
