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
import type { ClientEnd } from "./client-connection.ts";
import { ClientRules } from "./client-rules.ts";
import { SimulatedClients, type SimulatedClient } from "./clients.ts";
import { configOf, GATEWAY_ADDRESS, HEARTBEAT_MS } from "./config-of.ts";
import { checkWhatIsLeft } from "./end-rules.ts";
import { SimulatedEngines } from "./engines.ts";
import { HeartbeatRules } from "./heartbeat-rules.ts";
import { LlmuxLife } from "./llmux-life.ts";
import { Referee } from "./referee.ts";
import type { AppScenario, PlannedVisit } from "./scenario.ts";
import { visit } from "./visits.ts";

/** From the SIGKILL of one llmux to the start of the next, and between tries of a start, in ms. */
const RESTART_MS = 1_000;

/** A start that finds processes which cannot be ended is tried so often. */
const STARTS_MAX = 20;

/** How long the gateway waits for the news of a crash, and how often it sends; with some room, in ms. */
const OUTSIDE_SLACK_MS = 60_000;
const SENDINGS_MAX = 4;

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
  readonly #clientRules: ClientRules;
  readonly #heartbeatRules: HeartbeatRules;
  /** By request id, over all lives. */
  readonly #lifeOf = new Map<SimulatedClient, LlmuxLife>();
  readonly #lives: LlmuxLife[] = [];
  /** How often the state of each model has changed. */
  readonly #stateChanges = new Map<string, number>();
  life: LlmuxLife;
  #phase: "starting" | "running" | "draining" | "killed" | "ended" = "starting";
  #visitsLeft: number;
  #killsLeft: number;
  #startsLeft = STARTS_MAX;
  #nextLookMs = HANGING_LOOK_MS;
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
      onRequestArrived: (id) => this.#onRequestArrived(id),
      onRequestLeft: (id) => this.#onRequestLeft(id),
      checkNoticed: (model) => this.#checkNoticed(model),
    });
    this.clients = new SimulatedClients(scenario.clients, this.clock, {
      network: () => this.life.network,
      address: GATEWAY_ADDRESS,
      onAsked: (client) => this.#onAsked(client),
      onBeat: (client, beat) => this.#heartbeatRules.onBeat(client, beat, this.clock.nowMs),
      onEnded: (client, end) => this.#onClientEnded(client, end),
    });
    const names = new Set(scenario.models.map(({ name }) => name));
    this.#clientRules = new ClientRules({
      referee: this.referee,
      faults: scenario.faults,
      isConfigured: (model) => names.has(model),
      isKilled: () => this.#phase === "killed" || this.#phase === "starting",
      mayBeClosed: () => this.#phase !== "running",
      outsideMaxMs: SENDINGS_MAX * scenario.settings.requestTimeoutMs + OUTSIDE_SLACK_MS,
    });
    this.#heartbeatRules = new HeartbeatRules({
      referee: this.referee,
      intervalMs: HEARTBEAT_MS,
      timerLagMs: scenario.settings.timerLagMs,
      isCalm: scenario.faults.length === 0,
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
    for (const client of this.clients.active) {
      this.#clientRules.checkHanging(client, this.clock.nowMs);
      this.#heartbeatRules.checkSilence(client, this.clock.nowMs);
    }
  }

  /** Rule "llmux itself is sound": nothing is thrown to nobody. */
  onError(error: unknown): void {
    this.referee.demand(false, "llmux itself is sound", () =>
      error instanceof Error ? (error.stack ?? describeError(error)) : String(error),
    );
  }

  /** When nothing more happens. `isStrict`: a killed app has no timers left either. */
  checkEnd(isStrict: boolean): void {
    const { referee, life, engines, clients, stateDir, killedAtMs } = this;
    const hasEnded = this.#phase === "ended" || this.#phase === "killed";
    referee.demand(hasEnded, "the end comes", () => "the end never comes");
    const isOrderly = this.#phase === "ended";
    checkWhatIsLeft({ referee, life, engines, stateDir, isOrderly, mayHaveTimers: !isOrderly && !isStrict });
    for (const { plan, askedAtMs } of clients.active) {
      const hasHung = plan.pause === null && (killedAtMs === null || (askedAtMs ?? 0) <= killedAtMs);
      referee.demand(!hasHung, "no client hangs", () => `${requestIdOf(plan)} never ends`);
    }
    if (isOrderly) this.#checkRecords();
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
    const id = "waiter" in entry ? entry.waiter : 0;
    const about =
      "failure" in entry ? ` (${entry.failure.code})` : entry.kind === "state changed" ? ` to ${entry.to.kind}` : "";
    const model = "model" in entry ? entry.model : "to" in entry ? entry.to : "";
    this.note(`${entry.kind}${about}`, model, id);
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
      mayBeClosed: () => this.#phase !== "running",
    };
    visit(planned, parts, () => {
      this.#visitsLeft -= 1;
    });
  }

  // ── clients ───────────────────────────────────────────────────────────────────────────────────────────────────────

  #onAsked(client: SimulatedClient): void {
    this.note("client asks", client.plan.model, client.plan.id);
    this.#lifeOf.set(client, this.life);
  }

  #onClientEnded(client: SimulatedClient, end: ClientEnd): void {
    const status = "response" in end && end.response !== null ? ` ${end.response.status}` : "";
    this.note(`client ${end.kind}${status}`, client.plan.model, client.plan.id);
    this.#heartbeatRules.checkSilence(client, this.clock.nowMs);
    this.#clientRules.onEnded(client, end);
  }

  /** Rule "sent again only while nothing was passed on": to one engine at a time, a few times, and never after a byte came. */
  #onRequestArrived(id: number): void {
    const client = this.clients.all.get(id);
    if (client === undefined) return;
    this.#heartbeatRules.checkSilence(client, this.clock.nowMs);
    client.arrivals += 1;
    client.onEngine += 1;
    client.outsideSinceMs = null;
    const demand = (condition: boolean, message: () => string): void =>
      this.referee.demand(condition, "sent again only while nothing was passed on", () => `c${id} ${message()}`);
    demand(client.onEngine === 1, () => `is on ${client.onEngine} engines at once`);
    demand(client.arrivals <= SENDINGS_MAX, () => `was sent ${client.arrivals} times`);
    demand(client.end === null, () => "is sent though it has ended");
    demand(!client.hasBytes, () => "is sent again, and its client has a piece of an answer");
  }

  #onRequestLeft(id: number): void {
    const client = this.clients.all.get(id);
    if (client === undefined) return;
    client.onEngine -= 1;
    if (client.onEngine === 0) client.outsideSinceMs = this.clock.nowMs;
  }

  /** Those whose llmux was killed have no record. */
  #checkRecords(): void {
    for (const client of this.clients.all.values()) {
      if (this.#lifeOf.get(client) !== this.life) continue;
      this.#clientRules.checkRecord(client, this.life.books.requests.get(requestIdOf(client.plan)));
    }
  }
}
