/**
 * Proves that a model survives its sleeps: starts it, asks a fixed question, then for each level puts it to sleep, wakes
 * it, asks again, and measures times and GPU memory on the way.
 */
import { assert } from "../base/assert.ts";
import { describeError, failure, type Failure } from "../base/failure.ts";
import type { SleepLevel } from "../core/sleep-level.ts";
import { Orchestrator, type EngineEvents, type OrchestratorOptions } from "../orchestrator/orchestrator.ts";
import type { Clock } from "../ports/clock.ts";
import type { GpuProbe } from "../ports/gpu-probe.ts";
import { FixedQuestion } from "./fixed-question.ts";

/** What was measured at one level. Null: not reached, or, for memory, nothing there that could tell. */
export interface LevelResult {
  readonly level: SleepLevel;
  readonly sleepMs: number | null;
  readonly wakeMs: number | null;
  /** On all of its GPUs together, in bytes: awake before the sleep, asleep, awake again. */
  readonly beforeBytes: number | null;
  readonly asleepBytes: number | null;
  readonly awakeBytes: number | null;
  readonly sameAnswer: boolean | null;
  readonly pass: boolean;
  /** Why it did not pass. */
  readonly reason: string | null;
}

/** All levels, and how the start went. */
export interface ValidationReport {
  readonly model: string;
  readonly startMs: number | null;
  readonly levels: readonly LevelResult[];
  readonly pass: boolean;
  /** Why there was nothing to measure; null when there was. */
  readonly reason: string | null;
}

/** A cold engine's first answer may compile for minutes. */
const ANSWER_TIMEOUT_MS = 300_000;

/**
 * Never rejects for a fault of the engine: that is in the report. Leaves no process behind. Once `interrupt` is aborted it
 * ends the engine and comes back with what it has.
 */
export async function validateModel(
  model: string,
  levels: readonly SleepLevel[],
  options: OrchestratorOptions,
  interrupt: AbortSignal,
  onStep: (what: string) => void,
): Promise<ValidationReport> {
  const subject = new Subject(model, options, interrupt);
  const question = new FixedQuestion(options.http, model, ANSWER_TIMEOUT_MS);
  const results: LevelResult[] = [];
  try {
    await subject.clearTheGround();
    onStep("start");
    const startMs = await subject.timed("start");
    const reference = await question.ask(subject.origin());
    for (const level of levels) {
      onStep(`level ${level}`);
      interrupt.throwIfAborted();
      if (!subject.isAwake) await subject.timed("start");
      results.push(await validateLevel(level, subject, question, reference));
    }
    return { model, startMs, levels: results, pass: results.every(({ pass }) => pass), reason: null };
  } catch (error) {
    return { model, startMs: null, levels: results, pass: false, reason: describeError(error) };
  } finally {
    onStep("stop");
    await subject.end();
  }
}

async function validateLevel(
  level: SleepLevel,
  subject: Subject,
  question: FixedQuestion,
  reference: string,
): Promise<LevelResult> {
  const result: { -readonly [Key in keyof LevelResult]: LevelResult[Key] } = {
    level,
    sleepMs: null,
    wakeMs: null,
    beforeBytes: await subject.usedBytes(),
    asleepBytes: null,
    awakeBytes: null,
    sameAnswer: null,
    pass: false,
    reason: null,
  };
  try {
    result.sleepMs = await subject.timed("sleep", level);
    result.asleepBytes = await subject.usedBytes();
    result.wakeMs = await subject.timed("wake", level);
    result.awakeBytes = await subject.usedBytes();
    result.sameAnswer = (await question.ask(subject.origin())) === reference;
    if (!result.sameAnswer) result.reason = "the answer is not the same as before the sleep";
    else if (keepsMemory(result)) result.reason = "asleep it holds as much GPU memory as awake";
    result.pass = result.reason === null;
  } catch (error) {
    result.reason = describeError(error);
    await subject.end();
  }
  return result;
}

function keepsMemory({ beforeBytes, asleepBytes }: LevelResult): boolean {
  return beforeBytes !== null && asleepBytes !== null && beforeBytes > 0 && asleepBytes >= beforeBytes;
}

const INTERRUPTED = failure("stopped_by_operator", "interrupted");

/** The engine under test, one operation after the other. */
class Subject {
  isAwake = false;
  readonly #model: string;
  readonly #clock: Clock;
  readonly #probe: GpuProbe;
  readonly #processes: OrchestratorOptions["processes"];
  readonly #gpus: readonly number[] | null;
  readonly #orchestrator: Orchestrator;
  #answered = Promise.withResolvers<Failure | null>();

  constructor(model: string, options: OrchestratorOptions, interrupt: AbortSignal) {
    const engine = options.engines.find(({ name }) => name === model);
    assert(engine !== undefined, `no model ${model}`);
    this.#model = model;
    this.#clock = options.clock;
    this.#probe = options.probe;
    this.#processes = options.processes;
    this.#gpus = engine.gpus;
    const well = (): void => this.#answered.resolve(null);
    const badly = (_: string, reason: Failure): void => this.#answered.resolve(reason);
    const events: EngineEvents = {
      onAwake: well,
      onWakeFailed: badly,
      onAsleep: well,
      onSleepFailed: badly,
      onStopped: well,
      onStopFailed: badly,
      onCrashed: badly,
    };
    this.#orchestrator = new Orchestrator({ ...options, engines: [engine] }, events);
    // `end` breaks off whatever is under way; what was awaited there ends as interrupted.
    interrupt.addEventListener("abort", () => this.#answered.resolve(INTERRUPTED), { once: true });
  }

  /** Ends what a killed llmux may have left on the GPU. */
  async clearTheGround(): Promise<void> {
    await this.#orchestrator.endLeftovers();
  }

  origin(): string {
    const connection = this.#orchestrator.connection(this.#model);
    if (connection === null) throw new Error(`the engine of ${this.#model} is gone`);
    return connection.origin;
  }

  /** How long the operation took in ms. Rejects with the engine's reason. */
  async timed(what: "start" | "sleep" | "wake", level: SleepLevel = 1): Promise<number> {
    const { effects } = this.#orchestrator;
    const startedAtMs = this.#clock.nowMs();
    if (what === "sleep" && level !== 3) await this.#do(() => effects.sleep(this.#model, level));
    else if (what === "sleep") await this.#do(() => effects.stop(this.#model));
    else if (what === "wake" && level !== 3) await this.#do(() => effects.wake(this.#model, level));
    else await this.#do(() => effects.start(this.#model));
    this.isAwake = what !== "sleep";
    return this.#clock.nowMs() - startedAtMs;
  }

  /** By its processes; where the driver does not tell who holds what, by its GPUs as a whole. */
  async usedBytes(): Promise<number | null> {
    const { pid } = this.#orchestrator.info(this.#model);
    if (pid === null) return this.#probe.usedBytesBy([]);
    const own = await this.#probe.usedBytesBy(this.#processes.members(pid));
    if (own === null || own > 0) return own;
    const gpus = (await this.#probe.gpus())?.filter(({ index }) => this.#gpus?.includes(Number(index)) ?? true);
    return gpus === undefined ? null : gpus.reduce((sum, gpu) => sum + gpu.usedBytes, 0);
  }

  async end(): Promise<void> {
    this.isAwake = false;
    await this.#do(() => this.#orchestrator.effects.stop(this.#model));
  }

  async #do(operation: () => void): Promise<void> {
    this.#answered = Promise.withResolvers();
    operation();
    const failed = await this.#answered.promise;
    if (failed !== null) throw new Error(failed.message);
  }
}
