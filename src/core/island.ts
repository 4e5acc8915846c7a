/** Models that share a device, directly or by way of others: what happens on one island decides nothing on another. */
import type { ModelRecord } from "./engines.ts";
import type { DeviceId, ModelSpec } from "./model.ts";
import type { Holds } from "./policy.ts";
import type { Timer } from "./timers.ts";

/** One island. */
export interface Island {
  readonly models: readonly ModelSpec[];
  readonly devices: ReadonlySet<DeviceId>;
  /** The models of it that somebody waits for, suspended requests included. */
  readonly waiting: Set<ModelRecord>;
  /** As long as this is so, the policy need not be asked; null: ask it at every event. */
  holds: Holds | null;
  /** When it is asked whatever happens. */
  timer: Timer | null;
}

/** Every model is on exactly one, in the order of the models. */
export function islandsOf(models: readonly ModelSpec[]): Island[] {
  let groups: { devices: Set<string>; models: ModelSpec[] }[] = [];
  for (const model of models) {
    const touched = groups.filter(({ devices }) => model.devices.some((device) => devices.has(device)));
    const [first = { devices: new Set<string>(), models: [] }, ...others] = touched;
    for (const other of others) {
      for (const device of other.devices) first.devices.add(device);
      first.models.push(...other.models);
    }
    for (const device of model.devices) first.devices.add(device);
    first.models.push(model);
    groups = [...groups.filter((group) => !others.includes(group) && group !== first), first];
  }
  return groups.map(({ models: own, devices }) => ({
    models: own,
    devices,
    waiting: new Set(),
    holds: null,
    timer: null,
  }));
}
