/** The engine as the API server sees it: requests, pauses, sleep and wake, with every transition after the one before. */
import type { CoreConfig, CoreState } from "./core-protocol.ts";
import { Decoder } from "./decoder.ts";
import type { PauseMode } from "./decoder.ts";
import { EngineDeadError, EngineLink } from "./engine-link.ts";
import type { EngineVersion } from "./engine-version.ts";
import type { Faults } from "./faults.ts";
import { tempoOf, type Pace } from "./pace.ts";
import { parseBytes } from "./quantity.ts";
import { createHash } from "node:crypto";

/** A failure of a transition, with the words vLLM uses for it; the route answers 500. */
export class TransitionError extends Error {
  override readonly name = "TransitionError";
}

interface Options {
  readonly core: CoreConfig;
  readonly version: EngineVersion;
  readonly faults: Faults;
  readonly pace: Pace;
  readonly maxNumSeqs: number;
}

/** One engine, from the start of its process to its end. */
export class Engine {
  readonly decoder: Decoder;
  readonly link: EngineLink;
  readonly #version: EngineVersion;
  readonly #faults: Faults;
  readonly #corrupted = new Set<string>();
  #last: Promise<unknown> = Promise.resolve();
  #shownLevel: number | undefined;
  #core: CoreState = { isSleeping: false, sleepingTags: [], level: 0, weights: "not loaded", isMapped: false };

  constructor(options: Options) {
    this.#version = options.version;
    this.#faults = options.faults;
    this.decoder = new Decoder({
      maxRunning: options.maxNumSeqs,
      tempo: tempoOf(options.pace),
      onStart: () => this.#touchMemory(),
    });
    this.link = new EngineLink(options.core, (state) => {
      this.#core = state;
    });
    void this.link.died.then(() => this.decoder.fail());
  }

  /** How the engine's memory stands, as last heard. */
  get core(): CoreState {
    return this.#core;
  }

  /**
   * The level of sleep as the metrics show it, undefined for awake. Not the truth: the real one notes the level that was asked
   * for, and up to 0.28 took every wake for a full one.
   */
  get shownLevel(): number | undefined {
    return this.#shownLevel;
  }

  /** Whether what is said now is garbage: the weights are, or the prompt's cached prefix was computed while they were. */
  saysGarbage(prompt: string): boolean {
    if (this.#core.weights !== "garbage" && this.#corrupted.size === 0) return false;
    const key = createHash("sha256").update(prompt).digest("base64");
    if (this.#core.weights === "garbage") this.#corrupted.add(key);
    return this.#corrupted.has(key);
  }

  /** POST /sleep. Level 0 only pauses. Resolves when the lines are printed; throws `TransitionError` or `EngineDeadError`. */
  sleep(level: number, mode: PauseMode): Promise<void> {
    return this.#inTurn("sleep", async () => {
      const hang = this.#faults.take("sleep-hang");
      if (hang === "") await this.#hang();
      await this.#pauseForSleep(mode);
      if (level > 0) await this.#sleepCore(level);
      this.#shownLevel = level;
      if (hang !== undefined) await this.#hang();
    });
  }

  /** POST /wake_up, of some tags or (undefined) all; "scheduling" is none of the executor's. Resolves with whether all is awake. */
  wake(tags: readonly string[] | undefined): Promise<boolean> {
    return this.#inTurn("wake_up", async () => {
      const hang = this.#faults.take("wake-hang");
      if (hang === "") await this.#hang();
      if (this.#faults.take("wake-error") !== undefined) throw new Error("mock fault: wake-error");
      if (this.#faults.take("crash-engine-on-wake") !== undefined) this.link.kill();
      const outOfMemory = this.#core.isSleeping && this.#faults.take("wake-oom") !== undefined;
      const corrupt = this.#core.isSleeping && this.#faults.take("corrupt-after-wake") !== undefined;
      const memoryTags = tags?.includes("scheduling") ? tags.filter((tag) => tag !== "scheduling") : tags;
      const state = await this.link.call(
        memoryTags?.length === 0 ? { op: "state" } : { op: "wake", tags: memoryTags, outOfMemory, corrupt },
      );
      if (hang !== undefined) await this.#hang();
      const isAwake = !state.isSleeping;
      if (isAwake || this.#version.manner === "0.28") this.#shownLevel = undefined;
      if (isAwake || !this.#version.partialWakeStaysPaused) this.decoder.resume();
      return isAwake;
    });
  }

  /** POST /collective_rpc with reload_weights. */
  reload(): Promise<void> {
    return this.#inTurn("collective_rpc", async () => {
      if (this.#faults.take("reload-hang") !== undefined) await this.#hang();
      if (this.#faults.take("reload-error") !== undefined) throw new Error("mock fault: reload-error");
      await this.link.call({ op: "reload" });
    });
  }

  /** POST /reset_prefix_cache. */
  resetPrefixCache(): Promise<void> {
    return this.#inTurn("reset_prefix_cache", async () => {
      if (this.#faults.take("reset-cache-error") !== undefined) throw new Error("mock fault: reset-cache-error");
      await this.link.call({ op: "state" });
      this.#corrupted.clear();
    });
  }

  /** POST /pause. */
  pause(mode: PauseMode): Promise<void> {
    return this.#inTurn("pause_scheduler", () => this.decoder.pause(mode));
  }

  /** POST /resume. */
  resume(): Promise<void> {
    return this.#inTurn("resume_scheduler", async () => this.decoder.resume());
  }

  /** GET /is_sleeping: asleep, or only paused. Answered after the transition that is under way. */
  isSleeping(): Promise<boolean> {
    return this.#inTurn("is_sleeping", async () => {
      const state = await this.link.call({ op: "state" });
      return state.isSleeping || this.decoder.isPaused;
    });
  }

  /** GET /is_paused. */
  isPaused(): Promise<boolean> {
    return this.#inTurn("is_scheduler_paused", async () => {
      await this.link.call({ op: "state" });
      return this.decoder.isPaused;
    });
  }

  /** Before 0.17 a sleep did not pause the scheduler; it ended what ran, and the next request met unmapped memory. */
  async #pauseForSleep(mode: PauseMode): Promise<void> {
    // Asleep, only what waits can be ended; to let frozen requests run on would be the end of the engine.
    if (this.#core.isSleeping && mode !== "abort") return;
    await this.decoder.pause(mode);
    if (!this.#version.queuesWhileAsleep) this.decoder.resume();
  }

  async #sleepCore(level: number): Promise<void> {
    if (this.#faults.take("sleep-error") !== undefined) throw new Error("mock fault: sleep-error");
    if (this.#faults.take("crash-engine-on-sleep") !== undefined) this.link.kill();
    const leak = this.#faults.take("leak");
    const freesNothing = this.#faults.take("sleep-frees-nothing") !== undefined;
    const leakBytes = leak === undefined ? 0 : parseBytes(leak, "leak");
    await this.link.call({ op: "sleep", level, freesNothing, leakBytes });
    this.#corrupted.clear();
  }

  #touchMemory(): boolean {
    if (this.link.isDead) return false;
    if (this.#core.isMapped) return true;
    void this.link.call({ op: "illegal access" }).catch(() => {});
    return false;
  }

  /** What a hanging engine does: nothing, until it dies. */
  async #hang(): Promise<never> {
    await this.link.died;
    throw new EngineDeadError();
  }

  async #inTurn<T>(method: string, action: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(action);
    this.#last = turn.catch(() => {});
    try {
      return await turn;
    } catch (error) {
      if (this.link.isDead || error instanceof EngineDeadError) throw new EngineDeadError();
      const text = error instanceof Error ? error.message : String(error);
      throw new TransitionError(`Call to ${method} method failed: ${text}`, { cause: error });
    }
  }
}
