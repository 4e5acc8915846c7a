/** What a supervisor of an engine is given: the engine as configured, the world around it, and where its answers go. */
import type { Dispatcher } from "undici";
import type { Failure } from "../base/failure.ts";
import type { EngineSettings } from "../base/engine-settings.ts";
import type { EnginePrograms } from "../engines/choose.ts";
import type { EngineModel } from "../engines/engine.ts";
import type { LiveSleepLevel } from "../core/sleep-level.ts";
import type { Clock } from "../ports/clock.ts";
import type { EngineConnection, EngineInfo } from "../ports/engine-directory.ts";
import type { GpuProbe } from "../ports/gpu-probe.ts";
import type { HttpClient } from "../ports/http-client.ts";
import type { Log } from "../ports/log.ts";
import type { ProcessHost } from "../ports/process-host.ts";
import type { ControlLimits } from "./engine-control.ts";
import type { MeasuredMemory } from "./engine-memory.ts";
import type { EngineRecords } from "./engine-record.ts";

/** One model's engine, as configured. */
export interface EngineSpec extends EngineModel {
  readonly engine: EngineSettings;
  /** Null: a free one is taken at each start. */
  readonly port: number | null;
  readonly startupTimeoutMs: number;
}

/** What every engine shares. */
export interface EngineWorld {
  readonly programs: EnginePrograms;
  readonly environment: Readonly<Record<string, string>>;
  readonly limits: ControlLimits & { readonly stopGraceMs: number };
  readonly clock: Clock;
  readonly processes: ProcessHost;
  readonly http: HttpClient;
  readonly probe: GpuProbe;
  readonly records: EngineRecords;
  readonly log: Log;
  /** The port for a start of this engine. Rejects when it is taken. */
  readonly claimPort: (host: string) => Promise<number>;
  /** Its connections, with these headers (names and values, flat) on every request that is not to change them. */
  readonly createPool: (origin: string, headers?: readonly string[]) => Dispatcher & { destroy(): Promise<void> };
  readonly logFileOf: (model: string) => string;
  /** Whether no other engine of ours has a process on one of this engine's GPUs. */
  readonly isAloneOnGpus: () => boolean;
}

/** What the orchestrator does with the engine of one model, whoever runs it. */
export interface EngineKeeper {
  info(): EngineInfo;
  connection(): EngineConnection | null;
  start(): void;
  wake(from: LiveSleepLevel): void;
  sleep(level: LiveSleepLevel, running: "none" | "kept"): void;
  stop(): void;
  kill(): void;
  /** llmux ends: what it does for an engine that could not be ended is over as well, so that nothing of it keeps the process. */
  letGo(): void;
}

/** Where its answers go. */
export interface EngineAnswers {
  awake(): void;
  wakeFailed(reason: Failure): void;
  asleep(): void;
  sleepFailed(reason: Failure): void;
  stopped(): void;
  stopFailed(reason: Failure): void;
  crashed(reason: Failure): void;
  /** Not an answer: may come at any time. */
  measured(figures: MeasuredMemory): void;
}
