/** Who must leave before a model can be awake. Pure: residents in, victims out. */
import type { Devices } from "./devices.ts";
import type { ModelId, ModelSpec } from "./model.ts";

/** One model is awake on a device at a time: everybody who is awake on any device of `target` must leave. */
export function mustLeave(target: ModelSpec, devices: Devices): readonly ModelId[] {
  return [...devices.residentsBeside(target)];
}
