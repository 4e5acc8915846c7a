/** The API server's end of its EngineCore process: starting it, calling it, and noticing its death. */
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import type { ApiMessage, CoreCall, CoreConfig, CoreMessage, CoreState } from "./core-protocol.ts";

/** The engine is gone; the message is what vLLM's clients are told. */
export class EngineDeadError extends Error {
  override readonly name = "EngineDeadError";
  constructor() {
    super("EngineCore encountered an issue. See stack trace (above) for the root cause.");
  }
}

/** A call that EngineCore answered with an error. */
export class CoreCallError extends Error {
  override readonly name = "CoreCallError";
}

interface Waiter {
  readonly resolve: (state: CoreState) => void;
  readonly reject: (error: Error) => void;
}

/** EngineCore as seen from the API server. */
export class EngineLink {
  readonly #child: ChildProcess;
  readonly #waiters = new Map<number, Waiter>();
  readonly #died = Promise.withResolvers<void>();
  readonly #ready = Promise.withResolvers<{ state: CoreState; kvCacheTokens: number }>();
  #lastId = 0;
  #isDead = false;

  /** Starts the process; `onState` hears of every change of its memory. */
  constructor(config: CoreConfig, onState: (state: CoreState) => void) {
    const entry = process.argv[1] ?? "";
    this.#child = spawn(process.execPath, [...process.execArgv, entry, "engine-core", JSON.stringify(config)], {
      stdio: ["ignore", "inherit", "inherit", "ipc"],
    });
    this.#ready.promise.catch(() => {});
    // Whatever way this process ends by itself, EngineCore ends with it. Only a SIGKILL leaves it behind.
    process.once("exit", () => this.#child.kill("SIGKILL"));
    this.#child.on("message", (message: CoreMessage) => {
      onState(message.state);
      if (message.kind === "ready") return this.#ready.resolve(message);
      const waiter = this.#waiters.get(message.id);
      this.#waiters.delete(message.id);
      if (message.kind === "done") return waiter?.resolve(message.state);
      return waiter?.reject(new CoreCallError(message.message));
    });
    this.#child.on("exit", () => this.#onDeath());
    this.#child.on("error", () => this.#onDeath());
  }

  /** Its process id; undefined if it could not even be started. */
  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** Whether the process has ended. */
  get isDead(): boolean {
    return this.#isDead;
  }

  /** Resolves when the engine is loaded; rejects with `EngineDeadError` when it dies before. */
  get ready(): Promise<{ state: CoreState; kvCacheTokens: number }> {
    return this.#ready.promise;
  }

  /** Resolves when the process has ended, for whatever reason. */
  get died(): Promise<void> {
    return this.#died.promise;
  }

  /** Has EngineCore do something; calls are done in the order made. Rejects with `CoreCallError` or `EngineDeadError`. */
  call(call: CoreCall): Promise<CoreState> {
    if (this.#isDead) return Promise.reject(new EngineDeadError());
    this.#lastId += 1;
    const id = this.#lastId;
    const { promise, resolve, reject } = Promise.withResolvers<CoreState>();
    this.#waiters.set(id, { resolve, reject });
    const message: ApiMessage = { kind: "call", id, call };
    this.#child.send(message, (error) => {
      // A message that cannot be sent means that the process is going; its exit answers the waiter.
      if (error !== null) this.#child.kill("SIGKILL");
    });
    return promise;
  }

  /** Ends the process: asks first, kills after `graceMs`. Resolves when it is gone. */
  async stop(graceMs: number): Promise<void> {
    if (this.#isDead) return;
    if (this.#child.connected) this.#child.send("exit", () => {});
    const timer = setTimeout(() => this.#child.kill("SIGKILL"), graceMs);
    await this.died;
    clearTimeout(timer);
  }

  /** Sends SIGKILL, as an accident would. */
  kill(): void {
    this.#child.kill("SIGKILL");
  }

  #onDeath(): void {
    if (this.#isDead) return;
    this.#isDead = true;
    this.#ready.reject(new EngineDeadError());
    for (const waiter of this.#waiters.values()) waiter.reject(new EngineDeadError());
    this.#waiters.clear();
    this.#died.resolve();
  }
}
