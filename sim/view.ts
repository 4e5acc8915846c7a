/** What the rules may look at: the world outside the scheduler. */
import type { DeviceId, ModelId } from "../src/core/model.ts";
import type { Clients } from "./clients.ts";
import type { SimulatedEngine, SimulatedEngines } from "./engines.ts";
import type { Outlook } from "./outlook.ts";
import type { Scenario } from "./scenario.ts";
import type { VirtualClock } from "../src/simulation/virtual-clock.ts";

/** Everything here comes from events and effects; nothing from the scheduler's own state. */
export interface View {
  readonly scenario: Scenario;
  readonly clock: VirtualClock;
  readonly engines: SimulatedEngines;
  readonly clients: Clients;
  readonly outlook: Outlook;
  /** When the scheduler wants its alarm. */
  readonly alarmAtMs: number | null;
  readonly shuttingDown: boolean;
  /** When the shutdown was asked for; null before. */
  readonly shutdownAtMs: number | null;
}

/** The other engines that share a device with this one. */
export function neighbours(view: View, engine: SimulatedEngine): SimulatedEngine[] {
  const found: SimulatedEngine[] = [];
  for (const other of view.engines.all()) {
    if (other !== engine && overlap(other.model.spec.devices, engine.model.spec.devices)) found.push(other);
  }
  return found;
}

/** Leases of the engine's present life that have not been handed in. */
export function leasesOut(view: View, model: ModelId, butRevoked = false): number {
  const { crashes, ordered } = view.engines.get(model);
  let count = 0;
  for (const { crashesBefore, startsBefore, revoked } of view.clients.running(model)) {
    // Who was told of the end of an earlier life, and takes his time, holds nothing of this one.
    const isOver = revoked && (butRevoked || startsBefore < ordered.start);
    if (crashesBefore === crashes && !isOver) count += 1;
  }
  return count;
}

/** True while the memory of the engine changes, or nobody knows what it holds. */
export function isChanging({ phase }: SimulatedEngine): boolean {
  return phase !== "off" && phase !== "up" && phase !== "asleep";
}

/** True when the engine holds no memory but a sleeper's. */
export function isAway({ phase }: SimulatedEngine): boolean {
  return phase === "off" || phase === "asleep";
}

/** True when the two lists have a device in common. */
export function overlap(some: readonly DeviceId[], others: readonly DeviceId[]): boolean {
  return some.some((device) => others.includes(device));
}
