/** One life of llmux in a simulated machine: the whole app, from its start to its end, or to a SIGKILL. */
import { createApp, type App } from "../../src/app.ts";
import type { Config } from "../../src/config/config.ts";
import type { JournalEntry } from "../../src/core/journal.ts";
import type { Platform } from "../../src/platform/platform.ts";
import type { Log } from "../../src/ports/log.ts";
import type { EngineProcess, ProcessHost } from "../../src/ports/process-host.ts";
import type { VirtualClock } from "../../src/simulation/virtual-clock.ts";
import type { Books } from "./books.ts";
import { EngineConnections } from "./engine-connections.ts";
import type { SimulatedEngines } from "./engines.ts";
import { Network } from "./network.ts";
import { AppClock } from "./simulated-time.ts";

/** What it lives in. */
export interface LifeSurroundings {
  readonly clock: VirtualClock;
  readonly engines: SimulatedEngines;
  readonly books: Books;
  readonly timerLagMs: number;
  readonly refusedMs: number;
  readonly hasProbe: boolean;
  /** Who has the state folder. */
  readonly stateLock: { holder: LlmuxLife | null };
  /** A deliberate bug, to see whether the rules catch it. */
  readonly mutate: (platform: Platform, life: LlmuxLife) => Platform;
  onJournal(entry: JournalEntry): void;
}

/** To ask the GPUs takes a process, in ms. */
const PROBE_MS = 20;

/** Its `app` is the real one; all around it is simulated. */
export class LlmuxLife {
  readonly app: App;
  readonly clock: AppClock;
  readonly network: Network;
  readonly connections: EngineConnections;
  readonly books: Books;
  readonly #world: LifeSurroundings;
  #isKilled = false;

  constructor(config: Config, world: LifeSurroundings) {
    this.#world = world;
    this.books = world.books;
    this.clock = new AppClock(world.clock, world.timerLagMs);
    this.network = new Network(world.clock);
    const { clock, engines, refusedMs } = world;
    const { faults } = engines;
    this.connections = new EngineConnections({ clock, faults, refusedMs, engineAt: (port) => engines.at(port) });
    this.app = createApp(config, {
      platform: world.mutate(this.#platform(), this),
      log: logInto(world.books, () => this.#isKilled),
      version: "simulated",
      processMetrics: false,
      onJournal: (entry) => {
        if (this.#isKilled) return;
        world.books.onJournal(entry);
        world.onJournal(entry);
      },
    });
  }

  /** By SIGKILL. */
  get isKilled(): boolean {
    return this.#isKilled;
  }

  get holdsLock(): boolean {
    return this.#world.stateLock.holder === this;
  }

  /** By SIGKILL: what it had open closes, what it had started goes on, and nothing of it ever happens again. */
  killBySystem(): void {
    this.#isKilled = true;
    this.clock.stop();
    this.network.sever();
    this.connections.sever();
    if (this.holdsLock) this.#world.stateLock.holder = null;
  }

  #platform(): Platform {
    const { engines, clock, hasProbe, stateLock } = this.#world;
    const asked = <T>(answer: () => T): Promise<T | null> =>
      hasProbe
        ? new Promise((resolve) => clock.after(PROBE_MS, () => this.#isKilled || resolve(answer())))
        : Promise.resolve(null);
    const probe = {
      gpus: () => asked(() => engines.ledger.gpus()),
      usedBytesBy: (pids: readonly number[]) => asked(() => engines.ledger.usedBytesBy(pids)),
      sharesOf: (pids: readonly number[]) => asked(() => engines.ledger.sharesOf(pids)),
    };
    return {
      clock: this.clock,
      processes: this.#processes(),
      environment: {},
      createHttpClient: () => this.connections.createHttpClient(),
      createEnginePool: (origin) => this.connections.createPool(origin),
      createGpuProbe: () => probe,
      freeMemoryBytes: () => null,
      claimPort: (_host, port) => engines.claimPort(port),
      lockStateDir: () => {
        if (stateLock.holder !== null) throw new Error("another llmux runs with this state_dir");
        stateLock.holder = this;
        return {
          release: () => {
            if (this.holdsLock) stateLock.holder = null;
          },
        };
      },
      resolveCommand: (command) => command,
    };
  }

  /** The machine's processes, of which a killed llmux hears nothing and to which it does nothing. */
  #processes(): ProcessHost {
    const { engines } = this.#world;
    const host = engines.processes.host((request, marker) => engines.run(request, marker));
    const unlessKilled = <T>(promise: Promise<T>): Promise<T> =>
      new Promise((resolve, reject) => {
        promise.then(
          (value) => this.#isKilled || resolve(value),
          (error: unknown) => this.#isKilled || reject(error),
        );
      });
    return {
      ...host,
      signal: (leaderPid, pids, signal) => {
        if (!this.#isKilled) host.signal(leaderPid, pids, signal);
      },
      spawn: async (request) => {
        if (this.#isKilled) return new Promise(() => {});
        const { pid, exited }: EngineProcess = await unlessKilled(host.spawn(request));
        return { pid, exited: unlessKilled(exited) };
      },
    };
  }
}

function logInto(books: Books, isKilled: () => boolean): Log {
  const take: Log["info"] = (event, fields = {}) => {
    if (!isKilled()) books.onLog(event, fields);
  };
  return { debug: take, info: take, warn: take, error: take };
}
