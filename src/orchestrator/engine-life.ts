/** One life of an engine, from the start of its process to the end of the last one. */
import { randomUUID } from "node:crypto";
import type { Dispatcher } from "undici";
import type { EnginePlan } from "../engines/engine.ts";
import type { EngineConnection } from "../ports/engine-directory.ts";
import type { EngineProcess, ExitStatus } from "../ports/process-host.ts";
import { EngineControl, type RunCommand } from "./engine-control.ts";
import type { EngineMemory } from "./engine-memory.ts";
import type { EngineWorld } from "./engine-world.ts";
import { healthOf, lookAt, type HealthWatch, type Look } from "./health.ts";
import type { OwnRecord } from "./own-record.ts";

/** What is known of it. */
export interface EngineLife {
  readonly plan: EnginePlan;
  readonly process: EngineProcess;
  readonly control: EngineControl;
  readonly look: Look;
  readonly port: number;
  readonly startedAtEpochMs: number;
  readonly connection: EngineConnection & { readonly dispatcher: Dispatcher & { destroy(): Promise<void> } };
  readonly memory: EngineMemory;
  /** All that are left of it. */
  readonly processes: () => readonly number[];
  exit: ExitStatus | null;
  /** True once we want it gone. */
  ending: boolean;
  /** Its start has returned and it runs elsewhere, as a container does: it is known by its health, and ended by its command. */
  isElsewhere: boolean;
  watch: HealthWatch | null;
}

/** What it begins with. */
export interface Birth {
  readonly model: string;
  readonly plan: EnginePlan;
  readonly port: number;
  readonly world: EngineWorld;
  readonly record: OwnRecord;
  /** Where its output goes. */
  readonly outputFile: string;
  readonly run: RunCommand;
  readonly memory: (processes: () => readonly number[]) => EngineMemory;
}

/** Starts its process, after it has been written down. Rejects when that cannot be started. */
export async function beginLife(birth: Birth): Promise<EngineLife> {
  const { model, plan, port, world, record, outputFile, run, memory } = birth;
  const { environment, processes: host, clock, createPool, log, http, limits } = world;
  const { command, origin, stop } = plan;
  const id = randomUUID();
  const marker = `LLMUX_ENGINE=${id}`;
  record.begin({ marker, port, command, ...(stop === null ? {} : { stop: { ...stop, origin } }) });
  const env = { ...environment, ...plan.environment, LLMUX_ENGINE: id };
  const process = await host.spawn({ command, env, outputFile });
  const identity = host.identify(process.pid);
  record.identify(process.pid, identity);
  // Without a start time it had ended before it could be looked at.
  const since = identity?.startTime ?? null;
  const processes = (): readonly number[] => host.relatives({ leaderPid: process.pid, marker, since });
  const dispatcher = createPool(origin);
  return {
    plan,
    process,
    control: new EngineControl(model, http, limits, log, plan.control, run),
    look: lookAt(plan.health, origin, { http, run }),
    port,
    startedAtEpochMs: clock.epochMs(),
    connection: { origin, dispatcher, health: healthOf(plan.health, origin, { http, run, over: dispatcher }) },
    memory: memory(processes),
    processes,
    exit: null,
    ending: false,
    isElsewhere: false,
    watch: null,
  };
}
