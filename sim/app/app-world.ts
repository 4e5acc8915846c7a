/** A machine, its GPUs, llmux on it and the clients around it: everything that a scenario sets in motion. */
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describeError } from "../../src/base/failure.ts";
import { controlSocketPath } from "../../src/base/state-files.ts";
import type { JournalEntry } from "../../src/core/journal.ts";
import type { Platform } from "../../src/platform/platform.ts";
import { VirtualClock } from "../../src/simulation/virtual-clock.ts";
import type { Trace } from "../trace.ts";
import { requestIdOf } from "./answers.ts";
import { Books } from "./books.ts";
import { SimulatedClients } from "./clients.ts";
import { configOf, GATEWAY_ADDRESS } from "./config-of.ts";
import { checkWhatIsLeft } from "./end-rules.ts";
import { SimulatedEngines } from "./engines.ts";
import { LlmuxLife } from "./llmux-life.ts";
import { Referee } from "./referee.ts";
import { RequestWatch } from "./request-watch.ts";
import type { AppScenario, PlannedVisit } from "./scenario.ts";
import { visit } from "./visits.ts";

/** From the SIGKILL of one llmux to the start of the next, and between tries of a start, in ms. */
const RESTART_MS = 1_000;

/** A start that finds processes which cannot be ended is tried so often. */
const STARTS_MAX = 20;

/** Between two looks at who hangs, in ms. */
const HANGING_LOOK_MS = 5_000;

/** What stands between the app and its world, and is wrong on purpose. */
export type PlatformMutation = (platform: Platform, life: LlmuxLife) => Platform;

/** One run. */
export class AppWorld {
  readonly scenario: AppScenario;
  readonly clock: VirtualClock;
  readonly referee = new Referee();
  readonly trace: Trace;
  readonly engines: SimulatedEngines;
  readonly clients: SimulatedClients;
  readonly stateDir: string;
  readonly #mutate: PlatformMutation;
  readonly #stateLock: { holder: LlmuxLife | null } = { holder: null };
  readonly #requests: RequestWatch;
  readonly #lives: LlmuxLife[] = [];
  /** How often the state of each model has changed. */
  readonly #stateChanges = new Map<string, number>();
  life: LlmuxLife;
  #phase: "starting" | "running" | "draining" | "killed" | "ended" = "starting";
  #visitsLeft: number;
  #killsLeft: number;
  #startsLeft = STARTS_MAX;
  #nextLookMs = HANGING_LOOK_MS;
  /** Somebody wants to end it, and it was not there. */
  #isEndDue = false;
  /** Those that llmux has given up ending. */
  #stubborn: string[] = [];
  endBeganAtMs: number | null = null;
  endedAtMs: number | null = null;
  killedAtMs: number | null = null;

  constructor(scenario: AppScenario, trace: Trace, mutate: PlatformMutation) {
    this.scenario = scenario;
    this.trace = trace;
    this.#mutate = mutate;
    this.clock = new VirtualClock(scenario.seed);
    this.stateDir = mkdtempSync(join(existsSync("/dev/shm") ? "/dev/shm" : tmpdir(), "llmux-sim-"));
    this.#visitsLeft = scenario.visits.length;
    this.#killsLeft = scenario.killedAtMs.length;
    this.engines = new SimulatedEngines(scenario, this.clock, this.referee, {
      note: (what, model, id = 0) => this.note(what, model, id),
      onRequestArrived: (id) => this.#requests.onArrived(id),
      onRequestLeft: (id) => this.#requests.onLeft(id),
      checkNoticed: (model) => this.#checkNoticed(model),
    });
    this.#requests = new RequestWatch({
      scenario,
      clock: this.clock,
      referee: this.referee,
      clients: () => this.clients,
      note: (what, model, id) => this.note(what, model, id),
      isKilled: () => this.#phase === "killed" || this.#phase === "starting",
      mayBeClosed: () => this.#phase !== "running",
    });
    this.clients = new SimulatedClients(scenario.clients, this.clock, {
      network: () => this.life.network,
      address: GATEWAY_ADDRESS,
      onAsked: (client) => this.#requests.onAsked(client, this.life),
      onBeat: (client, beat) => this.#requests.onBeat(client, beat),
      onFirstByte: (client) => this.#requests.onFirstByte(client),
      onEnded: (client, end) => this.#requests.onEnded(client, end),
    });
    this.life = this.#newLife();
  }

  note(what: string, model: string, id = 0): void {
    this.trace.note(this.clock.nowMs, what, model, id);
  }

  /** Starts llmux and plans all that the scenario has. */
  begin(): void {
    const { visits, killedAtMs, end } = this.scenario;
    this.#start();
    this.clients.begin();
    for (const planned of visits) this.clock.at(planned.atMs, () => this.#visit(planned));
    for (const atMs of killedAtMs) this.clock.at(atMs, () => this.#killBySystem());
    if (end.atMs !== null) this.clock.at(end.atMs, () => this.beginEnd());
  }

  /** Whether all has happened that the scenario has, but for the end. */
  get isDone(): boolean {
    return this.#phase === "running" && this.#visitsLeft === 0 && this.#killsLeft === 0 && this.clients.areDone;
  }

  /** By a signal, or by two. */
  beginEnd(): void {
    // A signal during a start: the program ends it at once.
    const { end } = this.scenario;
    if (this.endBeganAtMs !== null) return;
    // Between two lives nobody hears a signal: it comes again when there is somebody.
    this.#isEndDue = this.life.isKilled;
    if (this.#isEndDue) return;
    this.note(`end: ${end.kind}`, "");
    this.endBeganAtMs = this.clock.nowMs;
    this.engines.rules.endBeganAtMs = this.clock.nowMs;
    if (end.kind === "kill" || this.#phase === "starting") return this.#killByUser();
    this.#phase = "draining";
    this.life.app.drain().then(
      () => this.#onDrained(),
      (error: unknown) => this.onError(error),
    );
    if (end.kind === "drain, then kill") {
      this.clock.after(end.afterMs, () => {
        if (this.#phase === "draining") this.#killByUser();
      });
    }
    return undefined;
  }

  /** After each event. */
  afterEvent(): void {
    if (this.clock.nowMs < this.#nextLookMs) return;
    this.#nextLookMs = this.clock.nowMs + HANGING_LOOK_MS;
    this.#requests.look();
  }

  /** Rule "llmux itself is sound": nothing is thrown to nobody. */
  onError(error: unknown): void {
    this.referee.demand(false, "llmux itself is sound", () =>
      error instanceof Error ? (error.stack ?? describeError(error)) : String(error),
    );
  }

  /** When nothing more happens. */
  checkEnd(): void {
    const { referee, life, engines, clients, stateDir, killedAtMs } = this;
    const hasEnded = this.#phase === "ended" || this.#phase === "killed";
    referee.demand(hasEnded, "the end comes", () => "the end never comes");
    const isOrderly = this.#phase === "ended";
    checkWhatIsLeft({ referee, life, engines, stateDir, isOrderly, stubborn: this.#stubborn });
    for (const { plan, askedAtMs } of clients.active) {
      const hasHung = plan.pause === null && (killedAtMs === null || (askedAtMs ?? 0) <= killedAtMs);
      referee.demand(!hasHung, "no client hangs", () => `${requestIdOf(plan)} never ends`);
    }
    if (isOrderly) this.#requests.checkRecords(life);
  }

  /** Removes what it had on disk, and what it had open. */
  clear(): void {
    for (const life of this.#lives) life.network.dispose();
    rmSync(this.stateDir, { recursive: true, force: true });
  }

  // ── llmux ─────────────────────────────────────────────────────────────────────────────────────────────────────────

  #newLife(): LlmuxLife {
    const { settings } = this.scenario;
    const life = new LlmuxLife(configOf(this.scenario, this.stateDir), {
      clock: this.clock,
      engines: this.engines,
      books: new Books(this.referee, settings.requestTimeoutMs + settings.timerLagMs + 1),
      timerLagMs: settings.timerLagMs,
      refusedMs: settings.refusedMs,
      hasProbe: settings.hasProbe,
      stateLock: this.#stateLock,
      mutate: this.#mutate,
      onJournal: (entry) => this.#onJournal(entry),
    });
    this.#lives.push(life);
    return life;
  }

  #start(): void {
    const { life } = this;
    const before = this.engines.living;
    this.engines.rules.isClearing = true;
    life.app.start().then(
      () => this.life === life && this.#onStarted(before),
      (error: unknown) => this.life === life && this.#onNotStarted(error),
    );
  }

  /** Rule "the next start ends what was left": when llmux listens, nothing runs that an earlier one has started. */
  #onStarted(before: SimulatedEngines["living"]): void {
    if (this.#phase !== "starting") return;
    this.note("started", "");
    this.#phase = "running";
    this.engines.rules.isClearing = false;
    const left = before.filter((engine) => !engine.isGone);
    this.referee.demand(left.length === 0, "the next start ends what was left", () =>
      left.map(({ name, leader }) => `${name} (pid ${leader.pid}) was left by the last run, and still runs`).join(", "),
    );
    if (this.#isEndDue) this.beginEnd();
  }

  /** Only one thing keeps llmux from starting here: processes that cannot be ended yet. */
  #onNotStarted(error: unknown): void {
    if (this.#phase !== "starting") return;
    this.note("not started", "");
    this.#startsLeft -= 1;
    const message = (): string => describeError(error);
    this.referee.demand(this.#startsLeft > 0, "the next start ends what was left", message);
    this.clock.after(RESTART_MS, () => this.#restart());
    return undefined;
  }

  #restart(): void {
    if (this.#phase !== "starting") return;
    this.life = this.#newLife();
    this.#stubborn = [];
    this.#requests.onNewLife();
    this.engines.residues.onNewLife();
    this.#start();
  }

  #killBySystem(): void {
    this.#killsLeft -= 1;
    if (this.#phase !== "running") return;
    this.note("killed by SIGKILL", "");
    this.#phase = "starting";
    this.life.killBySystem();
    this.clock.after(RESTART_MS, () => this.#restart());
  }

  #killByUser(): void {
    this.note("killed by a second signal", "");
    this.#phase = "killed";
    this.life.app.kill();
    this.endedAtMs = this.killedAtMs = this.clock.nowMs;
  }

  #onDrained(): void {
    if (this.#phase !== "draining") return;
    this.note("drained", "");
    this.#phase = "ended";
    this.endedAtMs = this.clock.nowMs;
  }

  #onJournal(entry: JournalEntry): void {
    if (entry.kind === "state changed") {
      this.#stateChanges.set(entry.model, (this.#stateChanges.get(entry.model) ?? 0) + 1);
    }
    if (entry.kind === "switch started" || entry.kind === "switch redirected") this.engines.residues.onSwitch(entry.to);
    if (entry.kind === "stop failed" && entry.retryAtMs === null) this.#giveUp(entry.model);
    const id = "waiter" in entry ? entry.waiter : 0;
    const about =
      "failure" in entry ? ` (${entry.failure.code})` : entry.kind === "state changed" ? ` to ${entry.to.kind}` : "";
    const model = "model" in entry ? entry.model : "to" in entry ? entry.to : "";
    this.note(`${entry.kind}${about}`, model, id);
  }

  /** Rule "the end leaves nothing": only what nothing ends is given up. */
  #giveUp(model: string): void {
    const isThere = this.engines.living.some(({ name }) => name === model);
    this.referee.demand(isThere, "the end leaves nothing", () => `${model} is given up, and has ended`);
    this.#stubborn.push(model);
  }

  /** Rule "an end is noticed at once": the journal tells soon that the engine is not any more what it was. */
  #checkNoticed(model: string): () => void {
    const [life, changes] = [this.life, this.#stateChanges.get(model) ?? 0];
    return () => {
      const isSame = this.#phase === "running" && this.life === life;
      const isNoticed = !isSame || (this.#stateChanges.get(model) ?? 0) > changes;
      this.referee.demand(isNoticed, "an end is noticed at once", () => `nobody has noticed that ${model} has ended`);
    };
  }

  #visit(planned: PlannedVisit): void {
    const { clock, referee, life, stateDir, scenario } = this;
    this.note(planned.what.kind === "look" ? `look at ${planned.what.at}` : `order: ${planned.what.command}`, "");
    const parts = {
      clock,
      referee,
      life,
      socketPath: controlSocketPath(stateDir),
      models: scenario.models.map(({ name }) => name),
      key: scenario.settings.keys[0]?.name ?? null,
      mayBeClosed: () => this.#phase !== "running",
    };
    visit(planned, parts, () => {
      this.#visitsLeft -= 1;
    });
  }
}
