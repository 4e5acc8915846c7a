/** What every route may use of the one engine that this process serves. */
import type { Engine } from "./engine.ts";
import type { EngineVersion } from "./engine-version.ts";
import type { EventRing } from "./event-ring.ts";
import type { Faults } from "./faults.ts";
import type { Log } from "./log-lines.ts";
import type { Meters } from "./meters.ts";
import type { RequestLog } from "./request-log.ts";
import type { ServeArguments } from "./serve-arguments.ts";
import type { Settings } from "./settings.ts";

/** The parts of a running stand-in. */
export interface Services {
  readonly args: ServeArguments;
  readonly settings: Settings;
  readonly version: EngineVersion;
  readonly engine: Engine;
  readonly faults: Faults;
  readonly events: EventRing;
  readonly requests: RequestLog;
  readonly meters: Meters;
  readonly log: Log;
  /** Whether VLLM_SERVER_DEV_MODE=1. */
  readonly devMode: boolean;
  /** When it was started, in seconds since the epoch. */
  readonly createdSecs: number;
  /** Reads nothing more from any client for `ms`, or for good if undefined. */
  readonly stopReading: (ms: number | undefined) => void;
}
