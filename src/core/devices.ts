/** What happens on each device right now: who is awake there, whose memory is changing, and which switch has it. */
import { assert } from "../base/assert.ts";
import { inTransition, isResident, type EngineState } from "./engine-state.ts";
import type { DeviceId, ModelId, ModelSpec } from "./model.ts";
import type { Switch } from "./switch.ts";

/** One device, by who uses it. */
export interface Device {
  /** Who holds all its memory there. */
  readonly residents: Set<ModelId>;
  /** Whose memory is changing there. */
  readonly inTransition: Set<ModelId>;
  /** The switch that has it. */
  switch: Switch | null;
}

/** Kept up to date by every move of an engine's state, so that no question here looks at all models. */
export class Devices {
  readonly #devices = new Map<DeviceId, Device>();

  constructor(models: readonly ModelSpec[]) {
    for (const id of models.flatMap((model) => model.devices)) {
      if (this.#devices.has(id)) continue;
      this.#devices.set(id, { residents: new Set(), inTransition: new Set(), switch: null });
    }
  }

  onMoved(model: ModelSpec, to: EngineState): void {
    for (const device of this.#of(model)) {
      if (isResident(to)) device.residents.add(model.id);
      else device.residents.delete(model.id);
      if (inTransition(to)) device.inTransition.add(model.id);
      else device.inTransition.delete(model.id);
    }
  }

  /** Gives all of `target`'s devices, and those of its victims, to one switch. */
  claim(models: readonly ModelSpec[], owner: Switch): void {
    for (const device of models.flatMap((model) => this.#of(model))) {
      assert(device.switch === null || device.switch === owner, "two switches on one device");
      device.switch = owner;
    }
  }

  release(owner: Switch): void {
    for (const device of this.#devices.values()) if (device.switch === owner) device.switch = null;
  }

  /** Who is awake, or draining, on any device of `model`; `model` itself left out. */
  residentsBeside(model: ModelSpec): Set<ModelId> {
    const beside = new Set<ModelId>();
    for (const device of this.#of(model)) for (const id of device.residents) if (id !== model.id) beside.add(id);
    return beside;
  }

  /** Why nothing may begin on the devices of `model`, in words; null when they are free for a switch. */
  obstacleFor(model: ModelSpec): string | null {
    for (const id of model.devices) {
      const device = this.#device(id);
      if (device.switch !== null) return `device ${id} is switching to ${device.switch.target}`;
    }
    return this.changeOn(model);
  }

  /** Whose memory is changing on any device of `model`, its own included, in words; null when nobody's is. */
  changeOn(model: ModelSpec): string | null {
    for (const id of model.devices) {
      const [busy] = this.#device(id).inTransition;
      if (busy !== undefined) return `the engine of ${busy} is changing on device ${id}`;
    }
    return null;
  }

  /** Every device with what is on it, for the invariants. */
  entries(): IterableIterator<[DeviceId, Readonly<Device>]> {
    return this.#devices.entries();
  }

  #of(model: ModelSpec): Device[] {
    return model.devices.map((id) => this.#device(id));
  }

  #device(id: DeviceId): Device {
    const device = this.#devices.get(id);
    assert(device !== undefined, `no device ${id}`);
    return device;
  }
}
