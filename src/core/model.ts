/** What the scheduler knows of a model before anything has happened to it. */
import type { LiveSleepLevel, SleepLevel } from "./sleep-level.ts";

/** A model's public name, as clients send it. */
export type ModelId = string;

/** A GPU, by the id that the configuration gives it ("0", "1", …). */
export type DeviceId = string;

/** One configured model. */
export interface ModelSpec {
  readonly id: ModelId;
  /** The devices its engine uses, all at once; at least one. */
  readonly devices: readonly DeviceId[];
  /** How deep it is put to sleep when it must make room. */
  readonly sleepLevel: SleepLevel;
  /** How many requests are let in at once; the rest waits here, where it can be counted. No limit unless given. */
  readonly inFlightMax?: number;
  /** Where its engine is before anything happens: asleep at this level. Absent: no process of it runs. */
  readonly beginsAsleepAt?: LiveSleepLevel;
}
