/** A folder, a pretend machine and an orchestrator with stand-in engines on it, which a test disposes of. */
import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Failure } from "../../src/base/failure.ts";
import type { EnginePrograms } from "../../src/engines/choose.ts";
import type { MeasuredMemory } from "../../src/orchestrator/engine-memory.ts";
import type { EngineSpec } from "../../src/orchestrator/engine-world.ts";
import { Orchestrator } from "../../src/orchestrator/orchestrator.ts";
import { claimPort } from "../../src/platform/loopback-port.ts";
import { nvidiaSmi } from "../../src/platform/nvidia-smi.ts";
import { systemProcesses } from "../../src/platform/processes.ts";
import { systemClock } from "../../src/platform/system-clock.ts";
import { createEnginePool } from "../../src/platform/engine-pool/engine-pool.ts";
import { createHttpClient } from "../../src/platform/undici-http-client.ts";
import { RecordingLog } from "./recording-log.ts";
import { until } from "./until.ts";

/** The stand-in engine's command. */
export const STAND_IN = [process.execPath, fileURLToPath(new URL("../../bin/mock-vllm.js", import.meta.url))];

/** What an engine answered to an order, or that it crashed. */
export interface Answer {
  readonly kind: string;
  readonly reason?: Failure;
}

/** An engine as configured: the model "tiny", unless something else is said. */
export function engineSpec(extra: Partial<EngineSpec> = {}): EngineSpec {
  return {
    name: "tiny",
    engine: { kind: "vllm" },
    aliases: ["small"],
    upstreamModel: null,
    modelPath: "org/tiny",
    gpus: [0],
    sleepModeFlag: true,
    extraArgs: ["--gpu-memory-utilization", "0.8"],
    env: {},
    port: null,
    startupTimeoutMs: 20_000,
    ...extra,
  };
}

/** How an orchestrator on the ground differs from the usual one. */
export interface Orchestration {
  readonly program?: readonly string[];
  /** Of other engines than vLLM. */
  readonly programs?: Partial<EnginePrograms>;
  /** Of the machine: settings of the stand-in. */
  readonly environment?: Readonly<Record<string, string>>;
  /** The program asked for GPU memory; the stand-in's unless told otherwise. */
  readonly nvidiaSmi?: readonly string[];
}

/** Engines under one orchestrator. */
export interface Orchestrated {
  readonly orchestrator: Orchestrator;
  readonly effects: Orchestrator["effects"];
  /** The next answer of the only engine, or of the one that is named. */
  readonly next: (model?: string) => Promise<Answer>;
  /** Answers that nobody has taken yet. */
  readonly answers: (Answer & { readonly model: string })[];
  readonly measured: { readonly model: string; readonly figures: MeasuredMemory }[];
  readonly log: RecordingLog;
  /** Orders a start and waits until it is awake. */
  readonly start: (model?: string) => Promise<void>;
  /** Orders a sleep and waits until it is asleep. */
  readonly sleep: (level: 1 | 2, model?: string) => Promise<void>;
}

/** Ends all engines and removes everything when it is disposed of. */
export class EngineGround implements AsyncDisposable {
  readonly folder = mkdtempSync(join(tmpdir(), "llmux-orchestrator-"));
  readonly #stops: (() => Promise<void>)[] = [];

  /** What is recorded of running engines. */
  get records(): string[] {
    return readdirSync(join(this.folder, "state", "engines"));
  }

  orchestrate(engines: EngineSpec | readonly EngineSpec[] = engineSpec(), other: Orchestration = {}): Orchestrated {
    const specs = "name" in engines ? [engines] : engines;
    const environment: Record<string, string> = {
      PATH: process.env["PATH"] ?? "",
      MOCK_VLLM_LEDGER: join(this.folder, "ledger"),
      MOCK_VLLM_GPUS: "0:8GiB",
      MOCK_VLLM_LOAD_MS: "0",
      MOCK_VLLM_SLEEP_MS: "0",
      MOCK_VLLM_WAKE_MS: "0",
      MOCK_VLLM_RELOAD_MS: "0",
      ...other.environment,
    };
    const answers: (Answer & { model: string })[] = [];
    const measured: { model: string; figures: MeasuredMemory }[] = [];
    const say = (kind: string) => (model: string, reason?: Failure) =>
      void answers.push(reason === undefined ? { model, kind } : { model, kind, reason });
    const http = createHttpClient();
    const log = new RecordingLog();
    const orchestrator = new Orchestrator(
      {
        engines: specs,
        stateDir: join(this.folder, "state"),
        programs: { vllm: other.program ?? STAND_IN, sglang: STAND_IN, "llama-server": STAND_IN, ...other.programs },
        environment,
        limits: { sleepTimeoutMs: 5_000, wakeTimeoutMs: 5_000, reloadTimeoutMs: 5_000, stopGraceMs: 5_000 },
        clock: systemClock,
        processes: systemProcesses,
        http,
        probe: nvidiaSmi(other.nvidiaSmi ?? [...STAND_IN, "nvidia-smi"], environment),
        log,
        claimPort,
        createPool: createEnginePool,
      },
      {
        onAwake: say("awake"),
        onWakeFailed: say("wake failed"),
        onAsleep: say("asleep"),
        onSleepFailed: say("sleep failed"),
        onStopped: say("stopped"),
        onStopFailed: say("stop failed"),
        onCrashed: say("crashed"),
        onMemoryMeasured: (model, figures) => void measured.push({ model, figures }),
      },
    );
    const { effects } = orchestrator;
    const only = specs[0]?.name ?? "";
    const next = async (model = only): Promise<Answer> => {
      const at = await until(`the engine of ${model} answers`, () => {
        const found = answers.findIndex((answer) => answer.model === model);
        return found === -1 ? undefined : { found };
      });
      const [{ model: _, ...answer } = { model, kind: "" }] = answers.splice(at.found, 1);
      return answer;
    };
    const start = async (model = only): Promise<void> => {
      effects.start(model);
      assert.deepEqual(await next(model), { kind: "awake" });
    };
    const sleep = async (level: 1 | 2, model = only): Promise<void> => {
      effects.sleep(model, level, "none");
      assert.deepEqual(await next(model), { kind: "asleep" });
    };
    this.#stops.push(async () => {
      answers.length = 0;
      for (const { name } of specs) effects.stop(name);
      const stopped = (name: string): boolean =>
        answers.some(({ model, kind }) => model === name && kind === "stopped");
      await until("they are stopped", () => specs.every(({ name }) => stopped(name)));
      await http.close();
    });
    return { orchestrator, effects, next, answers, measured, log, start, sleep };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const stop of this.#stops) await stop();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** The engine's answer to a question that is the same each time, straight from the engine. */
export async function askEngine(orchestrator: Orchestrator, model = "tiny"): Promise<string> {
  const connection = orchestrator.connection(model);
  assert.ok(connection !== null);
  const response = await fetch(`${connection.origin}/v1/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ model, prompt: "hello", temperature: 0, seed: 42, max_tokens: 20 }),
  });
  const answer = (await response.json()) as { choices: [{ text: string }] };
  return answer.choices[0].text;
}
