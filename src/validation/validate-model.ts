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
  /** Why it did not come to its end; null when it did. */
  readonly reason: string | null;
}

/** A cold engine's first answer may compile for minutes. */
const ANSWER_TIMEOUT_MS = 300_000;

/** What ends a validation before its time. */
export interface ValidationEnd {
  /** Once it is aborted the engine is stopped, and the report has what there is until then. */
  readonly interrupt: AbortSignal;
  /** Once it is aborted the engine is killed at once. */
  readonly kill: AbortSignal;
}

/** Never rejects for a fault of the engine: that is in the report. Leaves no process behind, unless the report names it. */
export async function validateModel(
  model: string,
  levels: readonly SleepLevel[],
  options: OrchestratorOptions,
  end: ValidationEnd,
  onStep: (what: string) => void,
): Promise<ValidationReport> {
  const subject = new Subject(model, options, end);
  const named = options.engines.find(({ name }) => name === model)?.upstreamModel ?? model;
  const question = new FixedQuestion(options.http, named, ANSWER_TIMEOUT_MS, end.interrupt);
  const results: LevelResult[] = [];
  let startMs: number | null = null;
  let reason: string | null = null;
  try {
    await subject.clearTheGround();
    onStep("start");
    startMs = await subject.timed("start");
    const reference = await question.ask(subject.origin());
    for (const level of levels) {
      if (end.interrupt.aborted) break;
      onStep(`level ${level}`);
      if (!subject.isAwake) await subject.timed("start");
      results.push(await validateLevel(level, subject, question, reference));
    }
  } catch (error) {
    reason = describeError(error);
  }
  onStep("stop");
  const stayed = await subject.end();
  subject.letGo();
  if (end.interrupt.aborted) reason = INTERRUPTED.message;
  if (stayed !== null) reason = stayed.message;
  return { model, startMs, levels: results, pass: reason === null && results.every(({ pass }) => pass), reason };
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
    const stayed = await subject.end();
    // Nothing can be measured beside what holds the GPU.
    if (stayed !== null) throw new Error(stayed.message, { cause: error });
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
  /** What is awaited is its end: that is not broken off. */
  #isEnding = false;
  readonly #model: string;
  readonly #interrupt: AbortSignal;
  readonly #clock: Clock;
  readonly #probe: GpuProbe;
  readonly #processes: OrchestratorOptions["processes"];
  readonly #gpus: readonly number[] | null;
  readonly #orchestrator: Orchestrator;
  #answered = Promise.withResolvers<Failure | null>();

  constructor(model: string, options: OrchestratorOptions, { interrupt, kill }: ValidationEnd) {
    const engine = options.engines.find(({ name }) => name === model);
    assert(engine !== undefined, `no model ${model}`);
    this.#model = model;
    this.#interrupt = interrupt;
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
    const onInterrupt = (): void => {
      if (!this.#isEnding) this.#answered.resolve(INTERRUPTED);
    };
    interrupt.addEventListener("abort", onInterrupt, { once: true });
    kill.addEventListener("abort", () => this.#orchestrator.killAll(), { once: true });
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
    if (this.#interrupt.aborted) throw new Error(INTERRUPTED.message);
    const { effects } = this.#orchestrator;
    const startedAtMs = this.#clock.nowMs();
    if (what === "sleep" && level !== 3) await this.#do(() => effects.sleep(this.#model, level, "none"));
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

  /** Null when no process is left, else what is. */
  async end(): Promise<Failure | null> {
    this.isAwake = false;
    this.#isEnding = true;
    const failed = await this.#answerTo(() => this.#orchestrator.effects.stop(this.#model));
    this.#isEnding = false;
    return failed;
  }

  /** Nothing more is asked of it, whether it has ended or not. */
  letGo(): void {
    this.#orchestrator.letGo();
  }

  async #do(operation: () => void): Promise<void> {
    const failed = await this.#answerTo(operation);
    if (failed !== null) throw new Error(failed.message);
  }

  #answerTo(operation: () => void): Promise<Failure | null> {
    this.#answered = Promise.withResolvers();
    operation();
    return this.#answered.promise;
  }
}
