/** What the scheduler knows of a model, and of a device, before anything has happened to it. */
import type { LiveSleepLevel, SleepLevel } from "./sleep-level.ts";

/** A model's public name, as clients send it. */
export type ModelId = string;

/** A GPU, by the id that the configuration gives it ("0", "1", …). */
export type DeviceId = string;

/** How much a request weighs beside others. */
export type Priority = "low" | "normal" | "high";

/** One GPU. */
export interface DeviceSpec {
  readonly id: DeviceId;
  /** Memory that engines may use in all, in bytes; null: not known, and then one model is awake there at a time. */
  readonly memoryBytes: number | null;
}

/** One configured model. */
export interface ModelSpec {
  readonly id: ModelId;
  /** The devices its engine uses, all at once; at least one. */
  readonly devices: readonly DeviceId[];
  /** How deep it is put to sleep when it must make room. */
  readonly sleepLevel: SleepLevel;
  /** What it holds of each of its devices while it is awake, in bytes. Absent: not known before it is measured; until then it is awake alone. */
  readonly needBytes?: number;
  /** What it takes of the host's memory while it sleeps at level 1, in bytes. Absent: not known before it is measured. */
  readonly hostBytes?: number;
  /** How many requests are let in at once; the rest waits here, where it can be counted. No limit unless given. */
  readonly inFlightMax?: number;
  /** How many requests may wait for it; further ones are refused. No limit unless given. */
  readonly queueMax?: number;
  /** Of its requests that say nothing else; "normal" unless given. */
  readonly priority?: Priority;
  /** Once awake it is never made to leave, and comes up again when its engine dies. */
  readonly pinned?: boolean;
  /** It is started in the background before anybody asks for it, and put to sleep unless it is pinned. */
  readonly preload?: boolean;
  /** Its engine can fall asleep while requests run on it, and go on with them when it wakes. */
  readonly canSuspend?: boolean;
  /** The longest time for which it is left alone after failures, in ms; five minutes unless given. */
  readonly retryMaxMs?: number;
  /** Where its engine is before anything happens: asleep at this level. Absent: no process of it runs. */
  readonly beginsAsleepAt?: LiveSleepLevel;
}
