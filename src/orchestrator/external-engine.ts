/**
 * Keeps an eye on an engine that somebody else runs: it is never started and never stopped. Awake means that it says it is well;
 * where the configuration has orders for it, it can be put to sleep and woken like any other.
 */
import { assert } from "../base/assert.ts";
import type { ExternalEngine as ExternalSettings, Order } from "../base/engine-settings.ts";
import { failure, type Failure } from "../base/failure.ts";
import type { LiveSleepLevel } from "../core/sleep-level.ts";
import { customEngine } from "../engines/custom.ts";
import type { EngineConnection, EngineInfo } from "../ports/engine-directory.ts";
import { delay } from "../ports/clock.ts";
import { runCommand } from "./command-run.ts";
import { EngineControl, type RunCommand } from "./engine-control.ts";
import type { EngineAnswers, EngineKeeper, EngineSpec, EngineWorld } from "./engine-world.ts";
import { healthOf, HealthWatch, lookAt, type Look } from "./health.ts";
import { NEVER, Operations } from "./operations.ts";

/** Nobody waits longer than this for one that does not say that it is well: llmux can do nothing to make it so. */
const READY_MS_MAX = 5_000;

const LOOK_PAUSE_MS = 250;

/** One engine that is not ours. */
export class ExternalEngine implements EngineKeeper {
  readonly #spec: EngineSpec;
  readonly #world: EngineWorld;
  readonly #answers: EngineAnswers;
  readonly #origin: string;
  readonly #headers: readonly string[];
  readonly #health: Order;
  readonly #control: EngineControl;
  readonly #canSleep: boolean;
  #connection: ReturnType<EngineWorld["createPool"]> | null = null;
  #watch: HealthWatch | null = null;
  #isAsleep = false;
  readonly #operations: Operations<"start" | "wake" | "sleep">;
  #isKilled = false;

  constructor(spec: EngineSpec, settings: ExternalSettings, world: EngineWorld, answers: EngineAnswers) {
    const plan = customEngine(settings).plan(spec, 0);
    this.#spec = spec;
    this.#world = world;
    this.#answers = answers;
    this.#operations = new Operations(spec.name);
    this.#origin = plan.origin;
    this.#health = plan.health;
    this.#canSleep = settings.sleep !== null;
    const key = settings.apiKeyVariable === null ? undefined : world.environment[settings.apiKeyVariable];
    this.#headers = key === undefined ? [] : ["authorization", `Bearer ${key}`];
    const { http, limits, log } = world;
    this.#control = new EngineControl(spec.name, http, limits, log, plan.control, this.#run);
  }

  info(): EngineInfo {
    const { name } = this.#spec;
    return {
      model: name,
      pid: null,
      port: null,
      startedAtEpochMs: null,
      progress: null,
      logFile: this.#world.logFileOf(name),
    };
  }

  connection(): EngineConnection | null {
    const dispatcher = this.#connection;
    if (dispatcher === null) return null;
    const { http } = this.#world;
    const health = healthOf(this.#health, this.#origin, { http, run: this.#run, over: dispatcher });
    return { origin: this.#origin, dispatcher, health };
  }

  start(): void {
    this.#begin("start", async (signal) => {
      const dispatcher = this.#world.createPool(this.#origin, this.#headers);
      this.#connection = dispatcher;
      const failed = (await this.#untilWell(signal)) ?? (await this.#wakeUp(signal));
      return () => this.#onStarted(failed);
    });
  }

  wake(from: LiveSleepLevel): void {
    this.#begin("wake", async (signal) => {
      const failed = await this.#control.wake(this.#connected(), from, signal);
      return () => this.#onStarted(failed);
    });
  }

  sleep(level: LiveSleepLevel, running: "none" | "kept"): void {
    this.#unwatch();
    this.#begin("sleep", async (signal) => {
      const failed = await this.#control.sleep(this.#connected(), level, running, signal);
      return () => {
        this.#isAsleep = failed === null;
        if (failed === null) this.#answers.asleep();
        else this.#answers.sleepFailed(failed);
      };
    });
  }

  /** It goes on running; one that others wait for the memory of is put to sleep first. */
  stop(): void {
    void this.#stop().then((failed) => (failed === null ? this.#answers.stopped() : this.#answers.stopFailed(failed)));
  }

  kill(): void {
    this.#isKilled = true;
    this.#unwatch();
    this.#operations.abort();
    this.letGo();
  }

  letGo(): void {
    void this.#connection?.destroy();
  }

  async #stop(): Promise<Failure | null> {
    this.#unwatch();
    await this.#operations.breakOff();
    const engine = this.connection();
    if (engine === null) return null;
    const mustSleep = this.#canSleep && !this.#isAsleep;
    const failed = mustSleep ? await this.#control.sleep(engine, 1, "none", NEVER) : null;
    // One that is gone holds no memory.
    if (failed !== null && (await this.#look()(NEVER)) === null) {
      return failure("stop_failed", `${failed.message}; it is not ours to end, and still holds its memory`);
    }
    this.#isAsleep = false;
    const connection = this.#connection;
    this.#connection = null;
    await connection?.destroy();
    return null;
  }

  #begin(name: "start" | "wake" | "sleep", work: (signal: AbortSignal) => Promise<() => void>): void {
    if (!this.#isKilled) this.#operations.begin(name, work);
  }

  #onStarted(failed: Failure | null): void {
    if (failed !== null) return this.#answers.wakeFailed(failed);
    this.#isAsleep = false;
    this.#watch = new HealthWatch(this.#look(), this.#world.clock, (why) => {
      this.#answers.crashed(failure("engine_unreachable", `the engine of ${this.#spec.name} is not well: ${why}`));
    });
    this.#answers.awake();
  }

  async #untilWell(signal: AbortSignal): Promise<Failure | null> {
    const { clock } = this.#world;
    const limitMs = Math.min(this.#spec.startupTimeoutMs, READY_MS_MAX);
    const endAtMs = clock.nowMs() + limitMs;
    for (;;) {
      const why = await this.#look()(signal);
      if (why === null) return null;
      if (clock.nowMs() + LOOK_PAUSE_MS > endAtMs) {
        const where = `${this.#origin}, which llmux does not start`;
        return failure("start_failed", `the engine of ${this.#spec.name} at ${where}, is not well: ${why}`);
      }
      await delay(clock, LOOK_PAUSE_MS, signal);
    }
  }

  /** Nobody knows how it was left. */
  async #wakeUp(signal: AbortSignal): Promise<Failure | null> {
    return this.#canSleep ? this.#control.wake(this.#connected(), 1, signal) : null;
  }

  #connected(): EngineConnection {
    const connection = this.connection();
    assert(connection !== null, `${this.#spec.name} has not been looked at`);
    return connection;
  }

  #look(): Look {
    const over = this.#connection;
    const { http } = this.#world;
    return lookAt(this.#health, this.#origin, { http, run: this.#run, ...(over === null ? {} : { over }) });
  }

  readonly #run: RunCommand = (command, timeoutMs, signal) => {
    const { environment: env, processes, clock, logFileOf } = this.#world;
    const outputFile = logFileOf(this.#spec.name);
    return runCommand({ command, env, outputFile, timeoutMs, signal }, processes, clock);
  };

  #unwatch(): void {
    this.#watch?.end();
    this.#watch = null;
  }
}
