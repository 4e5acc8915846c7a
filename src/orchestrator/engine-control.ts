/** The calls that put an engine to sleep and wake it, with their limits and their failures in words. */
import { describeError, failure, type Failure, type FailureCode } from "../base/failure.ts";
import type { LiveSleepLevel } from "../core/sleep-level.ts";
import type { ControlManner, ControlStep } from "../engines/engine.ts";
import { parseIsSleeping, saysAwake } from "../engines/vllm.ts";
import type { EngineConnection } from "../ports/engine-directory.ts";
import type { HttpAnswer, HttpClient } from "../ports/http-client.ts";
import type { Log } from "../ports/log.ts";
import { commandText, outcomeText } from "./command-run.ts";

/** Limits of the control calls in ms. */
export interface ControlLimits {
  readonly sleepTimeoutMs: number;
  readonly wakeTimeoutMs: number;
  readonly reloadTimeoutMs: number;
}

/** Runs a command; resolves with null when it has ended with 0, else with what went wrong. Rejects with the signal's reason only. */
export type RunCommand = (command: readonly string[], timeoutMs: number, signal: AbortSignal) => Promise<string | null>;

/** Where its control routes are. */
type EngineAddress = Pick<EngineConnection, "origin" | "dispatcher">;

/** Talks to one engine. Every call resolves with null, or with what went wrong; one whose signal is aborted may reject with its reason. */
export class EngineControl {
  readonly #model: string;
  readonly #http: HttpClient;
  readonly #limitsMs: Readonly<Record<ControlStep["limit"], number>>;
  readonly #log: Log;
  readonly #manner: ControlManner;
  readonly #run: RunCommand;

  constructor(
    model: string,
    http: HttpClient,
    limits: ControlLimits,
    log: Log,
    manner: ControlManner,
    run: RunCommand,
  ) {
    this.#manner = manner;
    this.#run = run;
    this.#model = model;
    this.#http = http;
    this.#limitsMs = {
      sleep: limits.sleepTimeoutMs,
      wake: limits.wakeTimeoutMs,
      reload: limits.reloadTimeoutMs,
    };
    this.#log = log;
  }

  async sleep(
    engine: EngineAddress,
    level: LiveSleepLevel,
    running: "none" | "kept",
    signal: AbortSignal,
  ): Promise<Failure | null> {
    const said = await this.#runSteps(this.#manner.sleepSteps(level, running), engine, "sleep_failed", signal);
    return typeof said === "string" ? null : said;
  }

  /**
   * Wakes in the safe order. A 200 alone proves little: an engine that does not say in it that it is awake is asked. The
   * failure is "out_of_memory" only when the engine is asleep as before.
   */
  async wake(engine: EngineAddress, from: LiveSleepLevel, signal: AbortSignal): Promise<Failure | null> {
    const said = await this.#runSteps(this.#manner.wakeSteps(from), engine, "wake_failed", signal);
    if (typeof said === "string") return saysAwake(said) ? null : this.#checkAwake(engine, signal);
    return said.code === "out_of_memory" ? this.#backToSleep(said, engine, from, signal) : said;
  }

  /** After a wake that ran out of memory. From level 2 the weights may be back by then; where they are not, to sleep again changes nothing. */
  async #backToSleep(
    tooLittle: Failure,
    engine: EngineAddress,
    from: LiveSleepLevel,
    signal: AbortSignal,
  ): Promise<Failure> {
    const failed = from === 2 ? await this.sleep(engine, from, "kept", signal) : null;
    const asleep = failed ?? (await this.#isSleeping(engine, signal));
    if (asleep === true) return tooLittle;
    const because =
      typeof asleep === "object" && asleep !== null ? asleep.message : "it does not say that it is asleep";
    return failure("wake_failed", `${tooLittle.message}; and it did not stay asleep: ${because}`);
  }

  /** Resolves with what the engine said to the last step that matters. */
  async #runSteps(
    steps: readonly ControlStep[],
    engine: EngineAddress,
    code: FailureCode,
    signal: AbortSignal,
  ): Promise<Failure | string> {
    let said = "";
    for (const step of steps) {
      const answer = await this.#runStep(step, engine, code, signal);
      if (typeof answer === "string") {
        if (!step.optional) said = answer;
      } else {
        if (!step.optional) return answer;
        this.#log.warn("optional engine call failed", {
          model: this.#model,
          path: "path" in step ? step.path : commandText(step.command),
          reason: answer.message,
        });
      }
    }
    return said;
  }

  async #runStep(
    step: ControlStep,
    engine: EngineAddress,
    code: FailureCode,
    signal: AbortSignal,
  ): Promise<Failure | string> {
    const timeoutMs = this.#limitsMs[step.limit];
    if ("command" in step) return this.#runCommand(step.command, timeoutMs, code, signal);
    const { origin, dispatcher: over } = engine;
    const call = step.path.startsWith("/")
      ? ({ method: "POST", url: origin + step.path, json: step.json, timeoutMs, signal, over } as const)
      : ({ method: "POST", url: step.path, json: step.json, timeoutMs, signal } as const);
    try {
      const answer = await this.#http.call(call);
      if (answer.status === 200) return answer.body;
      const isTooLittle = code === "wake_failed" && answer.status === 500 && this.#manner.saysOutOfMemory(answer.body);
      return failure(
        isTooLittle ? "out_of_memory" : code,
        `engine of ${this.#model}: POST ${step.path} answered ${answer.status}: ${reasonIn(answer)}`,
      );
    } catch (error) {
      return failure(code, `engine of ${this.#model}: POST ${step.path}: ${reasonOf(error, timeoutMs)}`);
    }
  }

  async #runCommand(
    command: readonly string[],
    timeoutMs: number,
    code: FailureCode,
    signal: AbortSignal,
  ): Promise<Failure | string> {
    const wrong = await this.#run(command, timeoutMs, signal);
    return wrong === null ? "" : failure(code, `engine of ${this.#model}: ${outcomeText(command, wrong)}`);
  }

  async #checkAwake(engine: EngineAddress, signal: AbortSignal): Promise<Failure | null> {
    const asleep = await this.#isSleeping(engine, signal);
    if (typeof asleep === "object") return asleep;
    if (!asleep) return null;
    return failure("wake_failed", `engine of ${this.#model} says that it is asleep after a wake that answered 200`);
  }

  /** Null when the engine has nothing to say to that, as one without this route. */
  async #isSleeping(engine: EngineAddress, signal: AbortSignal): Promise<boolean | null | Failure> {
    const { isSleepingPath } = this.#manner;
    if (isSleepingPath === null) return null;
    const { origin, dispatcher: over } = engine;
    const url = origin + isSleepingPath;
    const timeoutMs = this.#limitsMs.wake;
    try {
      const answer = await this.#http.call({ method: "GET", url, timeoutMs, signal, over });
      return answer.status === 200 ? parseIsSleeping(answer.body) : null;
    } catch (error) {
      return failure("wake_failed", `engine of ${this.#model}: GET ${isSleepingPath}: ${reasonOf(error, timeoutMs)}`);
    }
  }
}

const REASON_LENGTH_MAX = 500;

function reasonIn(answer: HttpAnswer): string {
  const text = messageIn(answer.body) ?? answer.body.trim();
  return text === "" ? "(no reason given)" : text.slice(0, REASON_LENGTH_MAX);
}

function messageIn(body: string): string | null {
  try {
    const value: unknown = JSON.parse(body);
    const message = (value as { error?: { message?: unknown } }).error?.message;
    return typeof message === "string" ? message : null;
  } catch {
    return null;
  }
}

function reasonOf(error: unknown, timeoutMs: number): string {
  const isTimeout = error instanceof Error && error.name === "TimeoutError";
  return isTimeout ? `no answer within ${timeoutMs / 1000} s` : describeError(error);
}
