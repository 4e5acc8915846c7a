/** All simulated engines of a machine, how they are started and found, and what they share. */
import { mkdirSync } from "node:fs";
import { dirname } from "node:path";
import type { SpawnRequest } from "../../src/ports/process-host.ts";
import type { VirtualClock } from "../../src/simulation/virtual-clock.ts";
import { EngineRules } from "./engine-rules.ts";
import { SimulatedEngine } from "./engine.ts";
import { FaultBook } from "./fault-book.ts";
import { GpuLedger } from "./gpu-ledger.ts";
import { ProcessTable, type StartedProgram } from "./process-table.ts";
import type { Referee } from "./referee.ts";
import { Residues } from "./residues.ts";
import type { AppScenario, SimulatedModel } from "./scenario.ts";

/** What an engine knows of the world. */
export interface EngineSurroundings {
  readonly scenario: AppScenario;
  readonly clock: VirtualClock;
  readonly referee: Referee;
  readonly faults: FaultBook;
  readonly processes: ProcessTable;
  readonly ledger: GpuLedger;
  readonly rules: EngineRules;
  readonly residues: Residues;
  readonly note: (what: string, model: string, id?: number) => void;
  onRequestArrived(client: number, engine: SimulatedEngine): void;
  onRequestLeft(client: number): void;
  /** The engine of this model has ended by itself; returns what is to be called when llmux must have noticed. */
  checkNoticed(model: string): () => void;
}

/** Where the machine's engines report. */
export type EngineNews = Pick<EngineSurroundings, "note" | "onRequestArrived" | "onRequestLeft" | "checkNoticed">;

/** One machine with its GPUs; it outlives llmux. */
export class SimulatedEngines {
  readonly processes: ProcessTable;
  readonly ledger: GpuLedger;
  readonly faults: FaultBook;
  readonly rules: EngineRules;
  readonly residues: Residues;
  readonly #surroundings: EngineSurroundings;
  readonly #scenario: AppScenario;
  readonly #byPort = new Map<number, SimulatedEngine>();
  #engines: SimulatedEngine[] = [];
  #lastPort = 40_000;

  constructor(scenario: AppScenario, clock: VirtualClock, referee: Referee, news: EngineNews) {
    this.#scenario = scenario;
    this.processes = new ProcessTable(clock);
    this.ledger = new GpuLedger(gpuSizes(scenario), referee);
    this.faults = new FaultBook(scenario.faults);
    this.rules = new EngineRules(clock, () => this.living, referee);
    this.residues = new Residues(clock, scenario.settings, () => this.living);
    const { processes, ledger, faults, rules, residues } = this;
    this.#surroundings = { scenario, clock, referee, processes, ledger, faults, rules, residues, ...news };
  }

  /** Those of which a process lives. */
  get living(): readonly SimulatedEngine[] {
    this.#engines = this.#engines.filter((engine) => !engine.isGone);
    return this.#engines;
  }

  /** The one that listens on this port; null when connections are refused there. */
  at(port: number): SimulatedEngine | null {
    const engine = this.#byPort.get(port);
    return engine !== undefined && engine.isListening ? engine : null;
  }

  /** This port, or for 0 one that nobody has. Rejects when it is taken. */
  claimPort(port: number): Promise<number> {
    if (port === 0) {
      this.#lastPort += 1;
      return Promise.resolve(this.#lastPort);
    }
    const model = this.#scenario.models.find((each) => each.port === port);
    const isTaken = this.at(port) !== null || (model !== undefined && this.faults.isPortTaken(model.name));
    if (!isTaken) return Promise.resolve(port);
    this.#surroundings.note("port taken", model?.name ?? "");
    return Promise.reject(Object.assign(new Error(`listen EADDRINUSE: 127.0.0.1:${port}`), { code: "EADDRINUSE" }));
  }

  /** What the machine does with a command line. Throws when the program cannot be started. */
  run(request: SpawnRequest, marker: string): StartedProgram {
    const commandLine = request.command.join(" ");
    const model = this.#modelOf(request.command);
    const faults = this.faults.atSpawn(model.name);
    if (faults.fails) {
      this.#surroundings.note("spawn fails", model.name);
      throw Object.assign(new Error("spawn vllm ENOENT"), { code: "ENOENT" });
    }
    if (request.outputFile !== null) mkdirSync(dirname(request.outputFile), { recursive: true });
    const port = Number(request.command[request.command.indexOf("--port") + 1]);
    const shown = request.env["CUDA_VISIBLE_DEVICES"];
    const gpus = shown === undefined ? gpusOf(this.#scenario, model) : shown.split(",");
    const engine = new SimulatedEngine(
      { model, gpus, port, marker, commandLine, outputFile: request.outputFile, faults },
      this.#surroundings,
    );
    this.rules.onChangeBegins(engine, "starting");
    this.#engines.push(engine);
    this.#byPort.set(port, engine);
    return { leader: engine.leader, exited: engine.exited };
  }

  #modelOf(command: readonly string[]): SimulatedModel {
    const name = command[command.indexOf("--served-model-name") + 1];
    const model = this.#scenario.models.find((each) => each.name === name);
    if (model === undefined) throw new Error(`no model ${name} in ${command.join(" ")}`);
    return model;
  }
}

/** The GPUs that a model runs on: its own, or all. */
export function gpusOf(scenario: AppScenario, model: SimulatedModel): readonly string[] {
  if (model.gpus !== null) return model.gpus.map(String);
  const named = [...new Set(scenario.models.flatMap(({ gpus }) => gpus ?? []))].map(String);
  return named.length === 0 ? ["0"] : named;
}

/** Each GPU has room for the largest models awake, as many as the scenario says, and for what all others leave asleep. */
export function gpuSizes(scenario: AppScenario): ReadonlyMap<string, number> {
  const sizes = new Map<string, number>();
  const gpus = new Set(scenario.models.flatMap((model) => gpusOf(scenario, model)));
  for (const gpu of gpus) {
    const there = scenario.models
      .filter((model) => gpusOf(scenario, model).includes(gpu))
      .sort((a, b) => b.awakeBytes - a.awakeBytes);
    const bytes = there.map((model, index) =>
      index < scenario.settings.roomFor ? model.awakeBytes : model.residueBytes,
    );
    const residues = there.map(({ residueBytes }) => residueBytes);
    sizes.set(gpu, Math.max(sum(bytes), sum(residues)) + Math.max(...residues));
  }
  return sizes;
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
