/** What differs between inference servers, as the orchestrator sees it. No I/O. */
import type { Order } from "../base/engine-settings.ts";
import type { LiveSleepLevel } from "../core/sleep-level.ts";
import type { StartProgress } from "../ports/engine-directory.ts";

/** Engines listen here and nowhere else: their control routes know no password. */
export const ENGINE_HOST = "127.0.0.1";

/** One model, as far as its engine's command line is concerned. */
export interface EngineModel {
  /** The public name, by which requests arrive. */
  readonly name: string;
  readonly aliases: readonly string[];
  /** What requests carry as `model` when they reach the engine; null: one of the other names. */
  readonly upstreamModel: string | null;
  readonly modelPath: string;
  /** Null: all that the machine has. Empty: none. */
  readonly gpus: readonly number[] | null;
  /** False leaves out the flags that make sleeping possible, which some platforms refuse. */
  readonly sleepModeFlag: boolean;
  readonly extraArgs: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

/** One order to an engine; the limit that applies to it is named after what it does. */
export type ControlStep = HttpStep | CommandStep;

interface AnyStep {
  readonly limit: "sleep" | "wake" | "reload";
  /** A failure of an optional step is logged and no more. */
  readonly optional: boolean;
}

/** A POST to a path of the engine, query included, or to a whole URL. */
export interface HttpStep extends AnyStep {
  readonly path: string;
  readonly json?: unknown;
}

/** A command to be run to its end. */
export interface CommandStep extends AnyStep {
  readonly command: readonly string[];
}

/** How an engine is put to sleep and woken. */
export interface ControlManner {
  sleepSteps(level: LiveSleepLevel, running: "none" | "kept"): readonly ControlStep[];
  wakeSteps(from: LiveSleepLevel): readonly ControlStep[];
  /** The path that answers `{"is_sleeping": boolean}`; null where there is none. */
  readonly isSleepingPath: string | null;
  /** Whether the answer to a wake says that the GPU has too little memory. */
  saysOutOfMemory(body: string): boolean;
}

/** One life of an engine on a port, before it begins. */
export interface EnginePlan {
  readonly command: readonly string[];
  /** What is added to the environment that llmux itself has. */
  readonly environment: Readonly<Record<string, string>>;
  /** Scheme, host and port. */
  readonly origin: string;
  /** Ready when it answers 200, or when it ends with 0. While it loads it is anything else. */
  readonly health: Order;
  /** What ends an engine that signals to `command` do not reach; null for all others. */
  readonly stop: { readonly command: readonly string[]; readonly timeoutMs: number } | null;
  readonly control: ControlManner;
}

/** One kind of inference server. */
export interface Engine {
  plan(model: EngineModel, port: number): EnginePlan;
  /** What a line of output says of a start's progress; null for any other line. */
  parseProgress(line: string): StartProgress | null;
  /** The line in which an engine that did not start says that it found too little GPU memory; null if it did not say so. */
  outOfMemoryCause(lines: readonly string[]): string | null;
  /** The line that most likely says why it ended; empty where there is none. */
  likelyCause(lines: readonly string[]): string;
}

/** Shows an engine those GPUs and no other. nvidia-smi counts GPUs in bus order and CUDA, unless told, by speed. */
export function gpuVariables(gpus: readonly number[] | null): Readonly<Record<string, string>> {
  return gpus === null ? {} : { CUDA_DEVICE_ORDER: "PCI_BUS_ID", CUDA_VISIBLE_DEVICES: gpus.join(",") };
}

/** The names by which requests reach it. */
export function namesFor({ name, aliases, upstreamModel }: EngineModel): readonly string[] {
  return upstreamModel === null ? [name, ...aliases] : [upstreamModel];
}

/** Where an engine that llmux starts listens. */
export function originOf(port: number): string {
  return `http://${ENGINE_HOST}:${port}`;
}

/** Of engines that can only be stopped. */
export const CANNOT_SLEEP: ControlManner = {
  sleepSteps: () => [],
  wakeSteps: () => [],
  isSleepingPath: null,
  saysOutOfMemory: () => false,
};
