/**
 * Looks after one model's engine: starts it, puts it to sleep, wakes it, ends it, and notices when it dies.
 *
 * One operation is under way at a time. `stop` breaks off whatever that is; an operation that was broken off gives no
 * answer. Every other operation gives exactly one, and an end that nobody asked for is a crash, whatever its exit code.
 */
import { assert } from "../base/assert.ts";
import { describeError, failure, type Failure } from "../base/failure.ts";
import { parallelSizeIn } from "../config/engine-flags.ts";
import type { LiveSleepLevel } from "../core/sleep-level.ts";
import { chooseEngine } from "../engines/choose.ts";
import { ENGINE_HOST, type Engine, type EnginePlan } from "../engines/engine.ts";
import { delay } from "../ports/clock.ts";
import type { EngineConnection, EngineInfo } from "../ports/engine-directory.ts";
import type { ExitStatus } from "../ports/process-host.ts";
import { runCommand } from "./command-run.ts";
import { endProcesses } from "./ending.ts";
import type { RunCommand } from "./engine-control.ts";
import { beginLife, type EngineLife } from "./engine-life.ts";
import { EngineMemory } from "./engine-memory.ts";
import { EngineOutput } from "./engine-output.ts";
import type { EngineAnswers, EngineKeeper, EngineSpec, EngineWorld } from "./engine-world.ts";
import { withFreeMemory } from "./free-memory.ts";
import { HealthWatch } from "./health.ts";
import { NEVER, Operations, orAborted } from "./operations.ts";
import { OwnRecord } from "./own-record.ts";
import { untilReady } from "./readiness.ts";
import { LAST_OUTPUT_LINES, startFailure } from "./start-failure.ts";
import { StartWatch } from "./start-watch.ts";
import { endByCommand, stillThere } from "./stop-command.ts";

/** Lines of output in which the cause is looked for: below a worker's error stand the tracebacks of those who waited for it. */
const CAUSE_LINES = 200;

/** A dying engine breaks its connections a moment before the system tells us of its end. */
const EXIT_NEWS_MS = 250;

/** Owns one engine's process. */
export class EngineSupervisor implements EngineKeeper {
  readonly #spec: EngineSpec;
  readonly #world: EngineWorld;
  readonly #answers: EngineAnswers;
  readonly #output: EngineOutput;
  readonly #engine: Engine;
  readonly #record: OwnRecord;
  readonly #operations: Operations<"start" | "wake" | "sleep">;
  readonly #startWatch: StartWatch;
  #life: EngineLife | null = null;
  /** From the order to its answer: an end that comes meanwhile was asked for, also while an operation is still breaking off. */
  #isStopping = false;
  #isKilled = false;

  constructor(spec: EngineSpec, world: EngineWorld, answers: EngineAnswers) {
    this.#spec = spec;
    this.#world = world;
    this.#answers = answers;
    this.#output = new EngineOutput(world.logFileOf(spec.name), world.clock, (line, whole) =>
      this.#onLine(line, whole),
    );
    this.#engine = chooseEngine(spec.engine, world.programs);
    this.#record = new OwnRecord(spec.name, world.records, world.log);
    this.#operations = new Operations(spec.name);
    this.#startWatch = new StartWatch(spec.name, this.#engine, world.log);
  }

  info(): EngineInfo {
    return {
      model: this.#spec.name,
      pid: this.#life?.isElsewhere === false ? this.#life.process.pid : null,
      port: this.#life?.port ?? null,
      startedAtEpochMs: this.#life?.startedAtEpochMs ?? null,
      progress: this.#startWatch.progress,
      logFile: this.#output.path,
    };
  }

  connection(): EngineConnection | null {
    return this.#life?.connection ?? null;
  }

  start(): void {
    this.#begin("start", async (signal) => {
      const failed = await this.#start(signal);
      return () => (failed === null ? this.#answers.awake() : this.#answers.wakeFailed(failed));
    });
  }

  wake(from: LiveSleepLevel): void {
    this.#begin("wake", async (signal) => {
      const failed = await this.#wake(from, signal);
      return () => (failed === null ? this.#answers.awake() : this.#answers.wakeFailed(failed));
    });
  }

  sleep(level: LiveSleepLevel, running: "none" | "kept"): void {
    this.#begin("sleep", async (signal) => {
      const failed = await this.#sleep(level, running, signal);
      return () => (failed === null ? this.#onAsleep(level) : this.#answers.sleepFailed(failed));
    });
  }

  /** Ends every process of the engine, whatever is under way. */
  stop(): void {
    this.#isStopping = true;
    void this.#stop().then((failed) => {
      this.#isStopping = false;
      return failed === null ? this.#answers.stopped() : this.#answers.stopFailed(failed);
    });
  }

  /** Kills at once, without waiting for anything: for when llmux itself must go now. Nothing is started afterwards. */
  kill(): void {
    this.#isKilled = true;
    this.#operations.abort();
    const life = this.#life;
    if (life === null) return;
    life.ending = true;
    life.memory.onTransition();
    life.watch?.end();
    this.#world.processes.signal(life.process.pid, life.processes(), "SIGKILL");
    const { plan } = life;
    // Its end is not awaited; the record stays, so the next start makes sure.
    if (plan.stop !== null) void this.#run(plan.stop.command, plan.stop.timeoutMs, NEVER);
    this.letGo();
  }

  /** The record stays, so the next start tries again to end what is left. */
  letGo(): void {
    this.#output.end();
    void this.#life?.connection.dispatcher.destroy();
  }

  #begin(name: "start" | "wake" | "sleep", work: (signal: AbortSignal) => Promise<() => void>): void {
    if (!this.#isKilled) this.#operations.begin(name, work);
  }

  // ── start ─────────────────────────────────────────────────────────────────────────────────────────────────────────

  async #start(signal: AbortSignal): Promise<Failure | null> {
    assert(this.#life === null, `${this.#spec.name} is started twice`);
    const { name } = this.#spec;
    let port: number;
    try {
      port = await this.#world.claimPort(ENGINE_HOST);
    } catch (error) {
      const which = this.#spec.port === null ? "a free port" : `port ${this.#spec.port}`;
      return failure("start_failed", `${which} for the engine of ${name} cannot be used: ${describeError(error)}`);
    }
    signal.throwIfAborted();
    const plan = this.#engine.plan(this.#spec, port);
    let life: EngineLife;
    try {
      life = await this.#spawn(port, plan);
    } catch (error) {
      this.#output.end();
      this.#startWatch.end();
      this.#record.forget();
      const [program] = plan.command;
      return failure("start_failed", `the engine of ${name} cannot be started: ${program}: ${describeError(error)}`);
    }
    if (this.#isKilled) this.kill();
    return this.#awaitReady(life, signal);
  }

  async #spawn(port: number, plan: EnginePlan): Promise<EngineLife> {
    this.#output.begin();
    this.#startWatch.begin();
    const life = await beginLife({
      model: this.#spec.name,
      plan,
      port,
      world: this.#world,
      record: this.#record,
      outputFile: this.#output.path,
      run: this.#run,
      memory: (processes) => this.#createMemory(processes),
    });
    this.#life = life;
    const { pid, exited } = life.process;
    void exited.then((status) => this.#onExit(life, status));
    this.#world.log.info("engine started", { model: this.#spec.name, pid, port, output: this.#output.path });
    return life;
  }

  async #awaitReady(life: EngineLife, signal: AbortSignal): Promise<Failure | null> {
    const { clock } = this.#world;
    const limit = new AbortController();
    const timer = clock.after(this.#spec.startupTimeoutMs, () => limit.abort());
    try {
      const isCommand = "run" in life.plan.health;
      await untilReady(life.look, clock, AbortSignal.any([signal, limit.signal]), isCommand);
    } catch (error) {
      signal.throwIfAborted();
      if (!limit.signal.aborted) throw error;
      const seconds = this.#spec.startupTimeoutMs / 1000;
      return this.#startFailure(`was not ready within ${seconds} s`);
    } finally {
      timer.cancel();
    }
    this.#startWatch.end();
    this.#output.relax();
    // By now it has the command line that it will keep.
    this.#record.identify(life.process.pid, this.#world.processes.identify(life.process.pid));
    this.#output.sync();
    if (!life.ending) life.memory.onReady();
    if (life.isElsewhere) this.#watch(life);
    return null;
  }

  #startFailure(what: string): Failure {
    return startFailure(this.#spec.name, what, this.#output.lastLines(CAUSE_LINES), this.#engine);
  }

  #createMemory(processes: () => readonly number[]): EngineMemory {
    const { probe, clock, isAloneOnGpus } = this.#world;
    return new EngineMemory({
      probe,
      clock,
      workers: parallelSizeIn(this.#spec.extraArgs),
      processes,
      isAlone: isAloneOnGpus,
      report: (figures) => this.#answers.measured(figures),
    });
  }

  // ── sleep and wake ────────────────────────────────────────────────────────────────────────────────────────────────

  async #sleep(level: LiveSleepLevel, running: "none" | "kept", signal: AbortSignal): Promise<Failure | null> {
    const life = this.#living();
    await orAborted(life.memory.untilMeasured(), signal);
    this.#output.sync();
    life.memory.onSleep();
    const failed = await life.control.sleep(life.connection, level, running, signal);
    if (failed !== null) {
      await this.#awaitExitNews(life);
      return failed;
    }
    this.#output.sync();
    const proof = await orAborted(life.memory.prove(), signal);
    if (proof.kind !== "not freed") {
      this.#world.log.debug("sleep proved", { model: this.#spec.name, sleep_level: level, proof });
      return null;
    }
    return failure(
      "sleep_failed",
      `the engine of ${this.#spec.name} answered 200 to /sleep, but no GPU memory came free: ${proof.because}`,
    );
  }

  #onAsleep(level: LiveSleepLevel): void {
    // First: the answer may lead straight to the next order.
    void this.#living().memory.onAsleep(level);
    this.#answers.asleep();
  }

  async #wake(from: LiveSleepLevel, signal: AbortSignal): Promise<Failure | null> {
    const life = this.#living();
    life.memory.onTransition();
    const failed = await life.control.wake(life.connection, from, signal);
    // It has just said that it is alive.
    if (failed?.code === "out_of_memory") {
      return orAborted(withFreeMemory(failed, this.#world.probe, this.#spec.gpus), signal);
    }
    if (failed !== null) await this.#awaitExitNews(life);
    return failed;
  }

  // ── end ───────────────────────────────────────────────────────────────────────────────────────────────────────────

  async #stop(): Promise<Failure | null> {
    await this.#operations.breakOff();
    const life = this.#life;
    if (life === null) return null;
    life.ending = true;
    life.memory.onTransition();
    const { processes, clock, limits } = this.#world;
    life.watch?.end();
    const said = await endByCommand(this.#spec.name, life, { ...this.#world, run: this.#run });
    const stubborn = await endProcesses(
      {
        leaderPid: life.process.pid,
        left: life.processes,
        leaderLives: () => life.exit === null,
        leaderCrashed: () => (life.exit?.signal ?? "SIGTERM") !== "SIGTERM",
        graceMs: limits.stopGraceMs,
      },
      processes,
      clock,
    );
    if (stubborn.length > 0) {
      const pids = stubborn.join(", ");
      return failure(
        "stop_failed",
        `processes ${pids} of the engine of ${this.#spec.name} do not end, not even by SIGKILL`,
      );
    }
    const unstoppable = said === null ? null : await stillThere(this.#spec.name, life, said, this.#world);
    if (unstoppable !== null) return unstoppable;
    await this.#bury(life);
    return null;
  }

  async #bury(life: EngineLife): Promise<void> {
    this.#life = null;
    this.#startWatch.end();
    this.#output.end();
    this.#record.forget();
    await life.connection.dispatcher.destroy();
    this.#world.log.info("engine ended", {
      model: this.#spec.name,
      pid: life.process.pid,
      exit_code: life.exit?.exitCode ?? null,
      signal: life.exit?.signal ?? null,
    });
  }

  #onExit(life: EngineLife, status: ExitStatus): void {
    life.exit = status;
    if (life.ending || this.#isStopping) return;
    const during = this.#operations.current;
    if (status.exitCode === 0 && life.plan.stop !== null) {
      life.isElsewhere = true;
      if (during !== "start") void this.#onGoneElsewhere(life);
      return;
    }
    this.#lose(life);
    this.#operations.abort();
    const how = status.signal === null ? `exited with code ${status.exitCode}` : `was ended by ${status.signal}`;
    if (during === "start" && status.signal === null) {
      this.#answers.wakeFailed(this.#startFailure(`${how} before it was ready`));
    } else this.#sayCrashed(how);
  }

  /** It answered before its start had returned; or it was in the foreground and has ended. */
  async #onGoneElsewhere(life: EngineLife): Promise<void> {
    const why = await life.look(NEVER);
    if (life.ending) return;
    if (why === null) this.#watch(life);
    else this.#onLost(life, why);
  }

  #watch(life: EngineLife): void {
    life.watch = new HealthWatch(life.look, this.#world.clock, (why) => this.#onLost(life, why));
  }

  /** It ran elsewhere, so nobody has told us of its end. */
  #onLost(life: EngineLife, why: string): void {
    if (life.ending || this.#isStopping) return;
    // What goes on just now will find out by itself, or be well.
    if (this.#operations.current !== null) return this.#watch(life);
    this.#lose(life);
    this.#sayCrashed(`is not well any more: ${why}`);
  }

  /** It has ended by itself. */
  #lose(life: EngineLife): void {
    life.ending = true;
    life.memory.onTransition();
    // Requests that are on it break now, not when their connections time out.
    void life.connection.dispatcher.destroy();
  }

  #sayCrashed(how: string): void {
    const lastOutput = this.#output.lastLines(LAST_OUTPUT_LINES);
    this.#answers.crashed(failure("engine_crashed", `the engine of ${this.#spec.name} ${how}`, { lastOutput }));
  }

  /** After a control call failed: gives the news of the engine's end, if that is why, the time to arrive first. */
  async #awaitExitNews(life: EngineLife): Promise<void> {
    await Promise.race([life.process.exited, delay(this.#world.clock, EXIT_NEWS_MS)]);
  }

  // ── small things ──────────────────────────────────────────────────────────────────────────────────────────────────

  #living(): EngineLife {
    assert(this.#life !== null, `${this.#spec.name} has no process`);
    return this.#life;
  }

  readonly #run: RunCommand = (command, timeoutMs, signal) => {
    const { environment, processes, clock } = this.#world;
    const env = { ...environment, ...this.#spec.env };
    return runCommand({ command, env, outputFile: this.#output.path, timeoutMs, signal }, processes, clock);
  };

  #onLine(line: string, whole: boolean): void {
    if (whole) this.#life?.memory.hear(line);
    if (whole) this.#world.log.debug("engine output", { model: this.#spec.name, line });
    this.#startWatch.onLine(line);
  }
}
