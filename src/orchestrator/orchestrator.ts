/** All engines together: carries out what the scheduler asks of them, and tells everyone else how they do. */
import { assert } from "../base/assert.ts";
import type { Failure } from "../base/failure.ts";
import { engineLogFile } from "../base/state-files.ts";
import type { Effects } from "../core/effects.ts";
import type { ModelId } from "../core/model.ts";
import type { EngineDirectory } from "../ports/engine-directory.ts";
import { EnginePorts, type ClaimPort } from "./engine-ports.ts";
import { EngineRecords } from "./engine-record.ts";
import { endLeftovers } from "./leftovers.ts";
import type { MeasuredMemory } from "./engine-memory.ts";
import type { EngineAnswers, EngineKeeper, EngineSpec, EngineWorld } from "./engine-world.ts";
import { ExternalEngine } from "./external-engine.ts";
import { EngineSupervisor } from "./supervisor.ts";

/** Where the engines' answers go: the scheduler's events, without their time. */
export interface EngineEvents {
  onAwake(model: ModelId): void;
  onWakeFailed(model: ModelId, reason: Failure): void;
  onAsleep(model: ModelId): void;
  onSleepFailed(model: ModelId, reason: Failure): void;
  onStopped(model: ModelId): void;
  onStopFailed(model: ModelId, reason: Failure): void;
  onCrashed(model: ModelId, reason: Failure): void;
  /** Figures in bytes, those that are new. Comes at any time in an engine's life, and never if nothing can be measured. */
  onMemoryMeasured?(model: ModelId, figures: MeasuredMemory): void;
}

/** What the orchestrator does for the scheduler. */
export type EngineEffects = Pick<Effects, "start" | "wake" | "sleep" | "stop">;

/** Its surroundings; the folder of records and the files of output are its own. */
export interface OrchestratorOptions extends Omit<
  EngineWorld,
  "records" | "logFileOf" | "claimPort" | "isAloneOnGpus"
> {
  readonly engines: readonly EngineSpec[];
  readonly stateDir: string;
  readonly claimPort: ClaimPort;
}

/** One supervisor for each model. */
export class Orchestrator implements EngineDirectory {
  readonly effects: EngineEffects;
  readonly #supervisors = new Map<ModelId, EngineKeeper>();
  readonly #options: OrchestratorOptions;
  readonly #records: EngineRecords;

  constructor(options: OrchestratorOptions, events: EngineEvents) {
    this.#options = options;
    this.#records = new EngineRecords(options.stateDir);
    const world: Omit<EngineWorld, "claimPort" | "isAloneOnGpus"> = {
      ...options,
      records: this.#records,
      logFileOf: (id) => engineLogFile(options.stateDir, id),
    };
    const configured = options.engines.flatMap(({ port }) => port ?? []);
    const ports = new EnginePorts(configured, options.claimPort);
    for (const spec of options.engines) {
      const id = spec.name;
      const claimPort = (host: string): Promise<number> => ports.claim(id, host, spec.port);
      const itsWorld = { ...world, claimPort, isAloneOnGpus: () => this.#isAloneOnGpus(spec) };
      const answers: EngineAnswers = {
        awake: () => events.onAwake(id),
        wakeFailed: (reason) => events.onWakeFailed(id, reason),
        asleep: () => events.onAsleep(id),
        sleepFailed: (reason) => events.onSleepFailed(id, reason),
        stopped: () => events.onStopped(id),
        stopFailed: (reason) => events.onStopFailed(id, reason),
        crashed: (reason) => events.onCrashed(id, reason),
        measured: (figures) => events.onMemoryMeasured?.(id, figures),
      };
      const { engine } = spec;
      const supervisor: EngineKeeper =
        engine.kind === "external"
          ? new ExternalEngine(spec, engine, itsWorld, answers)
          : new EngineSupervisor(spec, itsWorld, answers);
      this.#supervisors.set(id, supervisor);
    }
    this.effects = {
      start: (model) => this.#of(model).start(),
      wake: (model, from) => this.#of(model).wake(from),
      sleep: (model, level, running) => this.#of(model).sleep(level, running),
      stop: (model) => this.#of(model).stop(),
    };
  }

  /** Ends what a killed run has left behind. To be awaited before the first start; rejects when something cannot be ended. */
  async endLeftovers(): Promise<void> {
    const { processes, clock, log, http, limits, environment } = this.#options;
    const graceMs = limits.stopGraceMs;
    await endLeftovers({ records: this.#records, processes, clock, log, http, graceMs, environment });
  }

  info(model: ModelId): ReturnType<EngineKeeper["info"]> {
    return this.#of(model).info();
  }

  connection(model: ModelId): ReturnType<EngineKeeper["connection"]> {
    return this.#of(model).connection();
  }

  /** Kills every engine at once and waits for nothing: for when llmux itself must go now. */
  killAll(): void {
    for (const supervisor of this.#supervisors.values()) supervisor.kill();
  }

  /** To be called when all stops have answered, and llmux ends whatever they said. */
  letGo(): void {
    for (const supervisor of this.#supervisors.values()) supervisor.letGo();
  }

  #isAloneOnGpus(spec: EngineSpec): boolean {
    const neighbours = this.#options.engines.filter(
      ({ name, gpus }) =>
        name !== spec.name && (gpus === null || spec.gpus === null || gpus.some((gpu) => spec.gpus?.includes(gpu))),
    );
    return neighbours.every(({ name }) => this.#of(name).info().pid === null);
  }

  #of(model: ModelId): EngineKeeper {
    const supervisor = this.#supervisors.get(model);
    assert(supervisor !== undefined, `no engine for ${model}`);
    return supervisor;
  }
}
