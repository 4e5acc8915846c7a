/** The sleep mode of one simulated engine: the control routes of vLLM, one operation after the other. */
import type { HttpAnswer } from "../../src/ports/http-client.ts";
import type { CallFault, ControlCall, SimulatedModel } from "./scenario.ts";

/** What a caller hears; null: the connection breaks. */
export type Answered = (answer: HttpAnswer | null) => void;

/** What the sleep mode does to its engine. */
export interface SleepModeHost {
  /** Unless the engine has ended by then. */
  after(delayMs: number, run: () => void): void;
  readonly model: SimulatedModel;
  faultOf(call: ControlCall): CallFault | null;
  /** Before anything has changed. `keepsRunning`: what runs is to stand still, and to go on after the wake. */
  onSleepBegins(keepsRunning: boolean): void;
  /** `freed`: the memory is down to the residue. */
  onSleepEnds(freed: boolean): void;
  /** False when its GPUs have too little memory for it. */
  onWakeBegins(): boolean;
  /** `schedules`: requests run again. */
  onWakeEnds(schedules: boolean): void;
  /** A wake has failed, and what it had taken is given back. */
  onWakeFailed(): void;
}

const OK: HttpAnswer = { status: 200, body: "" };

const OUT_OF_MEMORY: HttpAnswer = {
  status: 500,
  body: '{"error":{"message":"Call to wake_up method failed: CUDA Error: out of memory","type":"InternalServerError","param":null,"code":500}}',
};

const FAILED: HttpAnswer = { status: 500, body: '{"error":{"message":"Call to sleep method failed"}}' };

/** How much longer a slow operation takes. */
const SLOW_FACTOR = 8;

/** A call that changes nothing is answered after this, in ms. */
const QUICK_MS = 1;

/** Awake until it is told to sleep. */
export class SleepMode {
  readonly #host: SleepModeHost;
  /** Asleep: 1 or 2. */
  #level: 0 | 1 | 2 = 0;
  #hasWeights = true;
  /** Between the two halves of a wake in parts. */
  #isHalfAwake = false;
  #operation: "sleep" | "wake" | null = null;
  readonly #queue: (() => void)[] = [];

  constructor(host: SleepModeHost) {
    this.#host = host;
  }

  /** 0 while it is awake, and while it wakes. */
  get level(): 0 | 1 | 2 {
    return this.#operation === "wake" ? 0 : this.#level;
  }

  /** What it is doing to its memory. */
  get operation(): "sleep" | "wake" | null {
    return this.#isHalfAwake ? "wake" : this.#operation;
  }

  /** Whether requests run. */
  get isAwake(): boolean {
    return this.#level === 0 && this.#operation === null;
  }

  /** Whether what the requests run on are the model's weights. */
  get hasWeights(): boolean {
    return this.#hasWeights;
  }

  /** False for a path that is none of the sleep mode's. */
  call(path: string, query: URLSearchParams, json: unknown, answered: Answered): boolean {
    const run = this.#operationOf(path, query, json, answered);
    if (run === null) return false;
    if (this.#operation === null) run();
    else this.#queue.push(run);
    return true;
  }

  #operationOf(path: string, query: URLSearchParams, json: unknown, answered: Answered): (() => void) | null {
    switch (path) {
      case "/sleep":
        return () => this.#sleep(query.get("level") === "2" ? 2 : 1, query.get("mode") === "keep", answered);
      case "/wake_up":
        return () => this.#wake(query.get("tags"), answered);
      case "/collective_rpc":
        return () => this.#reload(json, answered);
      case "/is_sleeping":
        return () => this.#quick(answered, { status: 200, body: `{"is_sleeping":${this.#level !== 0}}` });
      case "/reset_prefix_cache":
        return () => this.#quick(answered, OK);
      default:
        return null;
    }
  }

  #sleep(level: 1 | 2, keepsRunning: boolean, answered: Answered): void {
    if (this.#level !== 0) {
      // What half of a wake has taken is given back.
      if (this.#isHalfAwake) this.#host.onWakeFailed();
      this.#isHalfAwake = false;
      return this.#quick(answered, OK);
    }
    this.#host.onSleepBegins(keepsRunning);
    this.#operation = "sleep";
    this.#run("sleep", this.#host.model.sleepMs, answered, FAILED, (does) => {
      if (does === "500") return null;
      this.#level = level;
      this.#hasWeights = level === 1;
      this.#host.onSleepEnds(does !== "200 but nothing done");
      return OK;
    });
  }

  #wake(tags: string | null, answered: Answered): void {
    if (this.#level === 0) return this.#quick(answered, OK);
    const hasRoom = tags === "kv_cache" || this.#host.onWakeBegins();
    this.#operation = "wake";
    const { wakeMs, saysAwake } = this.#host.model;
    const isWhole = tags !== "weights";
    this.#run("wake", tags === null ? wakeMs : wakeMs / 2, answered, OUT_OF_MEMORY, (does) => {
      if (does === "500" || !hasRoom) {
        // The weights stay where they are when there is no room for the rest.
        if (tags !== "kv_cache") this.#host.onWakeFailed();
        return null;
      }
      // It says 200 and stays as it was: `/is_sleeping` tells the truth.
      if (does === "200 but nothing done") return OK;
      this.#isHalfAwake = !isWhole;
      if (isWhole) this.#level = 0;
      this.#host.onWakeEnds(isWhole);
      return saysAwake && isWhole ? { status: 200, body: '{"status":"awake"}' } : OK;
    });
  }

  #reload(json: unknown, answered: Answered): void {
    const isReload = typeof json === "object" && json !== null && "method" in json && json.method === "reload_weights";
    if (!isReload) return this.#quick(answered, { status: 400, body: '{"error":"no such method"}' });
    this.#operation = "wake";
    this.#run("reload", this.#host.model.reloadMs, answered, FAILED, (does) => {
      if (does === "500") return null;
      this.#hasWeights = does !== "200 but nothing done";
      return { status: 200, body: '{"results":[null]}' };
    });
    return undefined;
  }

  /** `finish` does what was asked for, or returns null when it has failed. */
  #run(
    call: ControlCall,
    usualMs: number,
    answered: Answered,
    failed: HttpAnswer,
    finish: (does: CallFault | null) => HttpAnswer | null,
  ): void {
    const does = this.#host.faultOf(call);
    // It holds up everything behind it until the process ends.
    if (does === "hangs") return;
    this.#host.after(does === "slow" ? SLOW_FACTOR * usualMs : usualMs, () => {
      this.#operation = null;
      const answer = finish(does);
      if (does === "answer lost") answered(null);
      else answered(answer === null || does === "500 but done" ? failed : answer);
      while (this.#operation === null && this.#queue.length > 0) this.#queue.shift()?.();
    });
  }

  #quick(answered: Answered, answer: HttpAnswer): void {
    this.#host.after(QUICK_MS, () => answered(answer));
  }
}
