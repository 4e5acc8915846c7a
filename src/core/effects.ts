/** What the scheduler asks of the world. Fire and forget: every answer comes back as one of its `on…` events. */
import type { Failure } from "../base/failure.ts";
import type { JournalEntry } from "./journal.ts";
import type { Lease, WaiterId } from "./lease.ts";
import type { ModelId } from "./model.ts";
import type { LiveSleepLevel } from "./sleep-level.ts";

/** No effect may call back into the scheduler before it has returned. */
export interface Effects {
  /** Start the engine. Answer: `onAwake`, or `onWakeFailed`. */
  start(model: ModelId): void;
  /** Wake the engine from this level. Answer: `onAwake`, or `onWakeFailed`. */
  wake(model: ModelId, from: LiveSleepLevel): void;
  /**
   * Put the engine to sleep. It has no request, unless `running` is "kept": then what runs on it is to stand still and to go
   * on by itself after the wake. Answer: `onAsleep`, or `onSleepFailed`.
   */
  sleep(model: ModelId, level: LiveSleepLevel, running: "none" | "kept"): void;
  /**
   * End every process of the engine, whatever else is under way for it: answers to earlier effects on this model are
   * void from here on. Answer: `onStopped` when none is left, or `onStopFailed`.
   */
  stop(model: ModelId): void;
  /** Let the waiter in. */
  grant(lease: Lease): void;
  /** Turn the waiter away. */
  refuse(waiter: WaiterId, failure: Failure): void;
  /** End this request now: its engine is gone, or its time to drain is over. Answer: `onReleased`. */
  revoke(lease: Lease, failure: Failure): void;
  /** Call `onAlarm` at this time. There is one alarm: each call replaces the last, null removes it. */
  alarmAt(timeMs: number | null): void;
  /** Keep this entry of the journal. */
  record(entry: JournalEntry): void;
  /** After `onShutdown`: no engine is left, no lease is out. */
  finished(): void;
}
