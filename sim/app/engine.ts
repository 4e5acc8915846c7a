/** One life of a simulated vLLM: a leader that serves HTTP, a core that holds the GPU, and what becomes of both. */
import { appendFileSync } from "node:fs";
import type { ExitStatus } from "../../src/ports/process-host.ts";
import type { HttpAnswer } from "../../src/ports/http-client.ts";
import { answerTo, bodyOf, clientIdOf, errorAnswerOf, LAST_WORD, pathOf, type EngineAnswer } from "./answers.ts";
import type { EngineSurroundings } from "./engines.ts";
import type { FaultBook } from "./fault-book.ts";
import { Generation, type AnswerSink } from "./generation.ts";
import type { SimulatedProcess } from "./process-table.ts";
import type { ControlCall, CrashForm, CrashState, RequestFault, SimulatedModel } from "./scenario.ts";
import { SleepMode, type Answered } from "./sleep-mode.ts";

/** What it does that others on the same GPU must be spared meanwhile. */
export type EngineChange = "starting" | "falling asleep" | "waking" | "ending" | "left behind";

/** How a process is started. */
export interface EngineStart {
  readonly model: SimulatedModel;
  readonly gpus: readonly string[];
  readonly port: number;
  readonly marker: string;
  readonly commandLine: string;
  readonly outputFile: string | null;
  readonly faults: ReturnType<FaultBook["atSpawn"]>;
}

/** One request, as it comes from the connection. */
export interface EngineCall {
  readonly path: string;
  readonly requestId: string;
  readonly fault: RequestFault | null;
  readonly body: string;
}

/** How long an API server outlives its core, and children their leader, in ms. */
const CORE_NEWS_MS = 1_500;
const CHILDREN_MS = 300;

/** What llmux must notice it notices within this, in ms. */
const NOTICE_MS = 5_000;

/** From a SIGKILL to the end, and from an end to the parent's hearing of it, in ms. */
const KILL_MS = 1;
const EXIT_NEWS_MS = 2;

/** What was on its way when the news of an end came arrives all the same: a process that is being started, for one. */
const UNDER_WAY_MS = 10;

/** From the start: the core is there; it takes its memory. As shares of the time of a start. */
const CORE_AT = 0.2;
const MEMORY_AT = 0.5;

const SLOW_START_FACTOR = 5;

function gib(bytes: number): string {
  return (bytes / 1024 ** 3).toFixed(2);
}

/** From its start to the end of its last process. */
export class SimulatedEngine {
  readonly start: EngineStart;
  readonly leader: SimulatedProcess;
  readonly exited: Promise<ExitStatus>;
  readonly sleepMode: SleepMode;
  readonly #world: EngineSurroundings;
  readonly #tellExit: (status: ExitStatus) => void;
  readonly #running = new Set<Generation>();
  /** Control calls that nobody has answered yet. */
  readonly #calls = new Set<Answered>();
  #core: SimulatedProcess | null = null;
  #isReady = false;
  #isLeaderAlive = true;
  #isCoreAlive = true;
  #isEnding = false;
  #isExitTold = false;
  /** Asleep, with requests that are to go on after the wake. */
  #keepsRunning = false;
  /** Something went wrong with it, so that it may be ended whatever its neighbours do. */
  hasFailed = false;

  constructor(start: EngineStart, world: EngineSurroundings) {
    this.start = start;
    this.#world = world;
    const { marker, commandLine } = start;
    const exited = Promise.withResolvers<ExitStatus>();
    this.exited = exited.promise;
    this.#tellExit = exited.resolve;
    this.leader = world.processes.add({ marker, commandLine, onSignal: (signal) => this.#onSignal(signal) }, null);
    this.sleepMode = new SleepMode({
      model: start.model,
      after: (delayMs, run) => this.#after(delayMs, run),
      faultOf: (call) => {
        const does = world.faults.ofCall(start.model.name, call);
        if (does !== null) {
          this.hasFailed = true;
          world.note(`${call}: ${does}`, this.name);
        }
        if (does === "hangs") this.#demandGivenUp(call);
        return does;
      },
      onSleepBegins: (keepsRunning) => this.#onSleepBegins(keepsRunning),
      onSleepEnds: (freed) => this.#onSleepEnds(freed),
      onWakeBegins: () => this.#onWakeBegins(),
      onWakeEnds: (schedules) => this.#onWakeEnds(schedules),
      onWakeFailed: () => this.#giveBack(start.model.residueBytes),
    });
    this.#boot();
  }

  get name(): string {
    return this.start.model.name;
  }

  /** Whether it takes connections. */
  get isListening(): boolean {
    return this.#isReady && this.#isLeaderAlive;
  }

  get isGone(): boolean {
    return !this.#isLeaderAlive && !this.#isCoreAlive;
  }

  /** Whether its weights are in the host's memory. */
  get isOnHost(): boolean {
    return this.#isCoreAlive && this.sleepMode.level === 1;
  }

  /** What llmux can know of it: that nobody has heard of its end yet is no change. */
  get change(): EngineChange | null {
    if (this.isGone) return null;
    if (!this.#isLeaderAlive) return this.#isExitTold ? "left behind" : null;
    if (this.#isEnding) return "ending";
    if (!this.#isReady) return "starting";
    const { operation } = this.sleepMode;
    return operation === null ? null : operation === "sleep" ? "falling asleep" : "waking";
  }

  // ── start ─────────────────────────────────────────────────────────────────────────────────────────────────────────

  #boot(): void {
    const { model, marker, commandLine, faults } = this.start;
    const startMs = faults.start === "slow" ? SLOW_START_FACTOR * model.startMs : model.startMs;
    if (faults.start !== null) this.hasFailed = true;
    this.#enter("starting");
    this.#print("INFO 11-01 12:00:00 [api_server.py:1] vLLM API server version 0.32.0");
    this.#after(CORE_AT * startMs, () => {
      const onSignal = (signal: "SIGTERM" | "SIGKILL"): void => {
        if (signal === "SIGKILL") this.#world.clock.after(faults.hangsMs + KILL_MS, () => this.#endCore());
      };
      this.#core = this.#world.processes.add(
        { marker, commandLine: `VLLM::EngineCore ${commandLine}`, onSignal },
        this.leader.pid,
      );
      this.#print("INFO 11-01 12:00:01 [core.py:1] Initializing a V1 LLM engine");
    });
    this.#after(MEMORY_AT * startMs, () => {
      if (!this.#take(model.awakeBytes)) return this.#endForWantOfMemory();
      return this.#print("Loading safetensors checkpoint shards:  50% Completed | 2/4");
    });
    if (faults.start === "never ready") return;
    this.#after(startMs, () => {
      this.#print("INFO:     Application startup complete.");
      this.#isReady = true;
      this.#enter("awake");
    });
  }

  // ── HTTP ──────────────────────────────────────────────────────────────────────────────────────────────────────────

  /** A control call; `answered` is called once, unless the engine hangs. */
  control(method: string, url: URL, json: unknown, answered: (answer: HttpAnswer | null) => void): void {
    const once = (answer: HttpAnswer | null): void => {
      if (this.#calls.delete(once)) answered(answer);
    };
    this.#calls.add(once);
    const { pathname, searchParams } = url;
    if (pathname === "/health") {
      this.#world.clock.after(1, () => once({ status: this.#isCoreAlive ? 200 : 503, body: "" }));
      return;
    }
    if (!this.#isCoreAlive) {
      this.#world.clock.after(1, () => once({ status: 500, body: '{"error":{"message":"EngineCore is dead"}}' }));
    } else if (method === "POST" || pathname === "/is_sleeping") {
      if (!this.sleepMode.call(pathname, searchParams, json, once)) once({ status: 404, body: "" });
    }
  }

  /** A request of a client. Returns what cancels it. The sink hears nothing before this has returned. */
  request(call: EngineCall, sink: AnswerSink): () => void {
    const { clock, faults, referee, scenario, note } = this.#world;
    const clientId = clientIdOf(call.requestId);
    const client = scenario.clients.find(({ id }) => id === clientId);
    if (client === undefined) throw new Error(`${call.requestId} is nobody's request`);
    note("request reaches engine", this.name, client.id);
    this.#checkArrival(call, bodyOf(client), pathOf(client));
    const { fault } = call;
    const broken = fault === "resets before the answer" || fault === "resets in the answer";
    const answer: EngineAnswer = fault === "500" || fault === "400" ? errorAnswerOf(fault) : answerTo(client);
    const breaksAt = fault === "resets before the answer" ? 0 : Math.max(1, Math.floor(answer.pieces.length / 2));
    const pace = {
      firstByteMs: client.firstByteMs,
      pieceMs: client.pieceMs,
      stallMs: (piece: number) => faults.stallMs(client.id, piece),
      breaksAt: broken ? breaksAt : null,
    };
    const generation = new Generation(clock, answer, sink, pace, () => {
      this.#running.delete(generation);
      this.#world.onRequestLeft(client.id);
    });
    this.#running.add(generation);
    if (this.#keepsRunning) generation.freeze();
    this.#world.onRequestArrived(client.id, this);
    if (this.#isCoreAlive) this.#enter("answering");
    else clock.after(1, () => generation.answerInstead(LAST_WORD));
    referee.demand(
      this.#running.size <= (this.start.model.maxNumSeqs ?? Infinity) || scenario.settings.policyType === "fifo",
      "only an awake engine gets requests",
      () => `${this.name} has ${this.#running.size} requests, and takes ${this.start.model.maxNumSeqs}`,
    );
    return () => generation.cancel();
  }

  /**
   * Rule "only an awake engine gets requests". Rule "weights are back before anything runs on them": after a sleep of level 2
   * they are loaded again first. Rule "a body arrives as it was sent": byte for byte, to the path that the client named.
   */
  #checkArrival({ path, body, requestId }: EngineCall, sentBody: string, sentPath: string): void {
    const { referee } = this.#world;
    // Who was let in before a sleep that keeps what runs may arrive after it: vLLM queues it until the wake.
    const isAwake = this.#isReady && (this.sleepMode.isAwake || this.#keepsRunning || !this.#isCoreAlive);
    const state = this.change ?? "asleep";
    referee.demand(
      isAwake,
      "only an awake engine gets requests",
      () => `${this.name} gets ${requestId} while ${state}`,
    );
    referee.demand(
      this.sleepMode.hasWeights || this.#keepsRunning,
      "weights are back before anything runs on them",
      () => `${this.name} gets ${requestId}, and its weights were not loaded again`,
    );
    referee.demand(
      body === sentBody && path === sentPath,
      "a body arrives as it was sent",
      () => `${requestId} came to ${path} with ${body}, and it was sent to ${sentPath} with ${sentBody}`,
    );
  }

  // ── sleep and wake ────────────────────────────────────────────────────────────────────────────────────────────────

  /** Rule "put away only when nothing runs": an engine is told to sleep when no request is on it, unless it is to keep them. */
  #onSleepBegins(keepsRunning: boolean): void {
    const { referee, rules } = this.#world;
    this.#enter("falling asleep");
    rules.onChangeBegins(this, "falling asleep");
    const count = this.#running.size;
    const isFree = count === 0 || keepsRunning;
    referee.demand(isFree, "put away only when nothing runs", () => `${this.name} falls asleep with ${count} requests`);
    this.#keepsRunning = keepsRunning;
    for (const generation of this.#running) generation.freeze();
  }

  #onSleepEnds(freed: boolean): void {
    const { awakeBytes, residueBytes, tellsFreed } = this.start.model;
    if (freed) this.#giveBack(residueBytes);
    const [was, is] = [freed ? awakeBytes - residueBytes : 0, freed ? residueBytes : awakeBytes];
    if (tellsFreed || !this.#world.scenario.settings.hasProbe) {
      this.#print(`Sleep mode freed ${gib(was)} GiB memory, ${gib(is)} GiB memory is still in use.`);
    }
    this.#enter("asleep");
    this.#world.residues.onAsleep(this);
    this.#world.rules.onAsleep(this.#world.scenario.settings.hostMemoryBytes);
  }

  #onWakeBegins(): boolean {
    this.#enter("waking");
    this.#world.rules.onChangeBegins(this, "waking");
    const hasRoom = this.#take(this.start.model.awakeBytes);
    if (!hasRoom) this.#world.note("wakes without room", this.name);
    return hasRoom;
  }

  #onWakeEnds(schedules: boolean): void {
    if (!schedules) return;
    this.#keepsRunning = false;
    this.#enter("awake");
    for (const generation of this.#running) generation.thaw();
  }

  #take(bytes: number): boolean {
    const { ledger, residues } = this.#world;
    if (this.#core === null || !this.#isCoreAlive) return true;
    const unknownBytes = (gpu: string): number => residues.unknownBytes(this.name, gpu);
    return ledger.take({ pid: this.#core.pid, gpus: this.start.gpus, bytes, unknownBytes });
  }

  #giveBack(bytes: number): void {
    if (this.#core !== null && this.#isCoreAlive) this.#world.ledger.giveBack(this.#core.pid, this.start.gpus, bytes);
  }

  // ── end ───────────────────────────────────────────────────────────────────────────────────────────────────────────

  #onSignal(signal: "SIGTERM" | "SIGKILL"): void {
    const { rules, clock, note } = this.#world;
    note(signal, this.name);
    if (signal === "SIGKILL") {
      clock.after(KILL_MS, () => this.#endLeader({ exitCode: null, signal: "SIGKILL" }));
      return;
    }
    if (this.#isEnding) return;
    rules.onEndBegins(this);
    this.#isEnding = true;
    if (this.start.faults.ignoresSigterm) return;
    clock.after(this.start.model.stopMs, () => {
      this.#endLeader({ exitCode: 0, signal: null });
      clock.after(CHILDREN_MS, () => this.#endCore());
    });
  }

  crash(how: CrashForm): void {
    if (!this.#isLeaderAlive) return;
    this.#world.note(`crash: ${how}`, this.name);
    this.hasFailed = true;
    if (how === "core") {
      this.#endCore();
      for (const generation of this.#running) if (!generation.hasBegun) generation.answerInstead(LAST_WORD);
      this.#world.clock.after(CORE_NEWS_MS, () => this.#endLeader({ exitCode: 0, signal: null }));
      return;
    }
    if (how === "all") this.#endCore();
    this.#print("RuntimeError: CUDA error: an illegal memory access was encountered");
    this.#endLeader({ exitCode: null, signal: "SIGSEGV" });
  }

  /** As vLLM does at its start. */
  #endForWantOfMemory(): void {
    this.#world.note("starts without room", this.name);
    this.hasFailed = true;
    this.#print("ValueError: Free memory on device cuda:0 on startup is less than desired GPU memory utilization.");
    this.#endCore();
    this.#world.clock.after(CORE_NEWS_MS, () => this.#endLeader({ exitCode: 1, signal: null }));
  }

  #endCore(): void {
    if (!this.#isCoreAlive) return;
    this.#isCoreAlive = false;
    if (this.#core === null) return;
    this.#world.ledger.giveBack(this.#core.pid, this.start.gpus, 0);
    this.#world.processes.end(this.#core.pid);
    this.#world.note("core ended", this.name);
  }

  #endLeader(status: ExitStatus): void {
    if (!this.#isLeaderAlive) return;
    const { processes, clock, note } = this.#world;
    this.#isLeaderAlive = false;
    if (this.#core === null) this.#isCoreAlive = false;
    note("leader ended", this.name);
    processes.end(this.leader.pid);
    processes.setZombie(this.leader.pid, true);
    if (!this.#isEnding) clock.after(NOTICE_MS, this.#world.checkNoticed(this.name));
    for (const call of this.#calls) call(null);
    for (const generation of this.#running) generation.break();
    clock.after(EXIT_NEWS_MS, () => {
      processes.setZombie(this.leader.pid, false);
      this.#tellExit(status);
      clock.after(UNDER_WAY_MS, () => {
        this.#isExitTold = true;
      });
    });
  }

  /** Rule "what hangs is given up": llmux ends an engine that does not answer, when the time for that call is over. */
  #demandGivenUp(call: ControlCall): void {
    const { clock, referee, scenario } = this.#world;
    const { sleepTimeoutMs, wakeTimeoutMs, reloadTimeoutMs } = scenario.settings;
    const limitMs = { sleep: sleepTimeoutMs, wake: wakeTimeoutMs, reload: reloadTimeoutMs }[call];
    clock.after(limitMs + NOTICE_MS, () => {
      const isOver = this.#isEnding || !this.#isLeaderAlive;
      referee.demand(isOver, "what hangs is given up", () => `${this.name} still hangs in its ${call}`);
    });
  }

  // ── small things ──────────────────────────────────────────────────────────────────────────────────────────────────

  /** One more time in this state: perhaps it is to die in it. */
  #enter(state: CrashState): void {
    this.#world.note(state, this.name);
    for (const { afterMs, how } of this.#world.faults.crashesIn(this.name, state)) {
      this.#world.clock.after(afterMs, () => this.crash(how));
    }
  }

  #after(delayMs: number, run: () => void): void {
    this.#world.clock.after(delayMs, () => {
      if (this.#isCoreAlive && this.#isLeaderAlive) run();
    });
  }

  #print(line: string): void {
    if (this.start.outputFile === null) return;
    try {
      appendFileSync(this.start.outputFile, `${line}\n`);
    } catch {
      // The folder has gone with the run that had it.
    }
  }
}
