/** What happens on each device right now: who is awake there, who sleeps there, whose memory is changing, and which switch has it. */
import { assert } from "../base/assert.ts";
import { inTransition, isResident, type EngineState } from "./engine-state.ts";
import type { DeviceId, DeviceSpec, ModelId, ModelSpec } from "./model.ts";
import type { Switch } from "./switch.ts";

/** One device, by who uses it. */
export interface Device {
  /** Memory that engines may use in all, in bytes; null: not known. */
  readonly memoryBytes: number | null;
  /** Who holds all its memory there. */
  readonly residents: Set<ModelId>;
  /** Who has left a residue there. */
  readonly sleepers: Set<ModelId>;
  /** Whose memory is changing there. */
  readonly inTransition: Set<ModelId>;
  /** The switch that has it. */
  switch: Switch | null;
}

/** Kept up to date by every move of an engine's state, so that no question here looks at all models. */
export class Devices {
  readonly #devices = new Map<DeviceId, Device>();

  /** Devices that `known` does not tell of have no known size. */
  constructor(models: readonly ModelSpec[], known: readonly DeviceSpec[]) {
    for (const { id, memoryBytes } of known) this.#devices.set(id, newDevice(memoryBytes));
    for (const id of models.flatMap((model) => model.devices)) {
      if (!this.#devices.has(id)) this.#devices.set(id, newDevice(null));
    }
    for (const model of models) if (model.beginsAsleepAt !== undefined) this.#add(model, "sleepers");
  }

  onMoved(model: ModelSpec, to: EngineState): void {
    this.#put(model, "residents", isResident(to));
    this.#put(model, "sleepers", to.kind === "asleep");
    this.#put(model, "inTransition", inTransition(to));
  }

  /** Gives the devices of all these models to one switch. */
  claim(models: readonly ModelSpec[], owner: Switch): void {
    for (const device of models.flatMap((model) => this.of(model))) {
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
    for (const device of this.of(model)) for (const id of device.residents) if (id !== model.id) beside.add(id);
    return beside;
  }

  /** Why nothing may begin on the devices of `model`, in words; null when they are free for a switch. */
  obstacleFor(model: ModelSpec): string | null {
    for (const id of model.devices) {
      const device = this.get(id);
      if (device.switch !== null) return `device ${id} is switching to ${device.switch.target}`;
    }
    return this.changeOn(model);
  }

  /** Whose memory is changing on any device of `model`, its own included, in words; null when nobody's is. */
  changeOn(model: ModelSpec): string | null {
    for (const id of model.devices) {
      const [busy] = this.get(id).inTransition;
      if (busy !== undefined) return `the engine of ${busy} is changing on device ${id}`;
    }
    return null;
  }

  /** Every device with what is on it. */
  entries(): IterableIterator<[DeviceId, Readonly<Device>]> {
    return this.#devices.entries();
  }

  /** The devices of a model, in its order. */
  of(model: ModelSpec): Device[] {
    return model.devices.map((id) => this.get(id));
  }

  get(id: DeviceId): Device {
    const device = this.#devices.get(id);
    assert(device !== undefined, `no device ${id}`);
    return device;
  }

  #put(model: ModelSpec, where: "residents" | "sleepers" | "inTransition", isThere: boolean): void {
    if (isThere) this.#add(model, where);
    else for (const device of this.of(model)) device[where].delete(model.id);
  }

  #add(model: ModelSpec, where: "residents" | "sleepers" | "inTransition"): void {
    for (const device of this.of(model)) device[where].add(model.id);
  }
}

function newDevice(memoryBytes: number | null): Device {
  return { memoryBytes, residents: new Set(), sleepers: new Set(), inTransition: new Set(), switch: null };
}
