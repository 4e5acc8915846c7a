/** An engine as a simulation has it: continuous batching whose decode is shared by all that run, in virtual time. */
import { assert } from "../base/assert.ts";
import type { EngineSpeed } from "../config/config.ts";
import type { Scheduled, VirtualClock } from "./virtual-clock.ts";

/** How many requests run in an engine at once; vLLM calls it `max_num_seqs`. */
export const RUNNING_MAX = 64;

/** Longer prompts are cut to this. */
export const PROMPT_TOKENS_MAX = 16_000;

/** Longer answers are cut to this, unless a plan says otherwise. */
export const OUTPUT_TOKENS_MAX = 2_048;

/** The speed of decoding while a prompt is read, as a share of the speed without. */
const DECODE_SHARE_IN_PREFILL = 0.6;

/** A token that lacks less than this is out: sums of many steps are only nearly exact. */
const ROUNDING = 1e-6;

/** One request in an engine. */
export interface Job {
  readonly promptTokens: number;
  readonly outputTokens: number;
  state: "waiting" | "in prefill" | "decoding" | "over";
  /** Where the decode's work counter will stand when its last token is out; set once it decodes. */
  endsAtWork: number;
  /** Tokens of its answer that were out when a sleep last froze it; none unless given. */
  tokensOut?: number;
}

/** How fast an engine is, and after how many tokens it cuts an answer. */
export interface EnginePace extends Pick<EngineSpeed, "itlMs" | "prefillTokensPerSecond"> {
  /** `OUTPUT_TOKENS_MAX` unless given; ≥ 1. */
  readonly outputTokensMax?: number;
}

/** What an engine tells. Both may send it further jobs at once. */
export interface EngineNews<J extends Job> {
  readonly onFirstToken: (job: J) => void;
  /** The last token is out; for an answer of one token, right after its first. */
  readonly onEnd: (job: J) => void;
}

/**
 * Prompts are read one after another, in the order of arrival, as long as fewer than 64 run; the first token comes with the end of
 * the prompt. All that decode advance at one speed, so their progress is one number, the work counter: tokens that a job which was
 * there all the time would have had. A job that begins at 10 and has 5 tokens to go ends at 15. So an event costs what the few that
 * run cost, however many tokens lie between two events.
 */
export class EngineModel<J extends Job> {
  readonly #speed: EnginePace;
  readonly #clock: VirtualClock;
  readonly #news: EngineNews<J>;
  /** In order of arrival from `#firstWaiting` on; may hold some that are over. */
  #queue: J[] = [];
  #firstWaiting = 0;
  #inPrefill: J | null = null;
  #prefillLeftMs = 0;
  readonly #decoding = new Set<J>();
  #work = 0;
  #asOfMs: number;
  #frozen = false;
  #next: Scheduled | null = null;

  constructor(speed: EnginePace, clock: VirtualClock, news: EngineNews<J>) {
    this.#speed = speed;
    this.#clock = clock;
    this.#news = news;
    this.#asOfMs = clock.nowMs;
  }

  /** Jobs whose prompt is being read or whose answer is being written; at most 64. */
  get running(): number {
    return this.#decoding.size + (this.#inPrefill === null ? 0 : 1);
  }

  submit(job: J): void {
    assert(job.state === "waiting", `a job is submitted that is ${job.state}`);
    this.#advance();
    this.#queue.push(job);
    this.#goOn();
  }

  /** Ends a job before its time, without news of it. */
  abort(job: J): void {
    this.#advance();
    if (this.#inPrefill === job) this.#inPrefill = null;
    this.#decoding.delete(job);
    job.state = "over";
    this.#goOn();
  }

  /** Nothing goes on in an engine that sleeps; what runs there stays as it is. */
  freeze(): void {
    this.#advance();
    this.#frozen = true;
    this.#goOn();
  }

  /** Goes on. What had been read and written before is read again first, in the old order: a sleep keeps no KV cache. */
  thaw(): void {
    this.#advance();
    this.#frozen = false;
    const again = [...this.#decoding];
    for (const job of again) job.tokensOut = this.#tokensOf(job) - Math.ceil(job.endsAtWork - this.#work - ROUNDING);
    if (this.#inPrefill !== null) again.push(this.#inPrefill);
    for (const job of again) job.state = "waiting";
    this.#queue = [...again, ...this.#queue.slice(this.#firstWaiting)];
    this.#firstWaiting = 0;
    this.#decoding.clear();
    this.#inPrefill = null;
    this.#goOn();
  }

  /** Brings the work counter and the prefill up to the present, at the speeds that have held since the last event. */
  #advance(): void {
    const { nowMs } = this.#clock;
    const passedMs = nowMs - this.#asOfMs;
    this.#asOfMs = nowMs;
    if (this.#frozen) return;
    if (this.#decoding.size > 0) this.#work += passedMs * this.#tokensPerMs();
    if (this.#inPrefill !== null) this.#prefillLeftMs = Math.max(0, this.#prefillLeftMs - passedMs);
  }

  /** Begins a prefill if one can begin, and plans the next event. */
  #goOn(): void {
    if (this.#next !== null) this.#next.run = null;
    this.#next = null;
    if (this.#frozen) return;
    if (this.#inPrefill === null && this.#decoding.size < RUNNING_MAX) this.#beginPrefill(this.#takeWaiting());
    const prefillMs = this.#inPrefill === null ? Infinity : this.#prefillLeftMs;
    const first = this.#firstToEnd();
    const decodeMs = first === null ? Infinity : Math.max(0, first.endsAtWork - this.#work) / this.#tokensPerMs();
    if (first !== null && decodeMs < prefillMs) this.#next = this.#clock.after(decodeMs, () => this.#endDecode(first));
    else if (prefillMs < Infinity) this.#next = this.#clock.after(prefillMs, () => this.#endPrefill());
  }

  #beginPrefill(job: J | null): void {
    if (job === null) return;
    job.state = "in prefill";
    this.#inPrefill = job;
    const tokens = Math.min(job.promptTokens, PROMPT_TOKENS_MAX) + (job.tokensOut ?? 0);
    this.#prefillLeftMs = (tokens / this.#speed.prefillTokensPerSecond) * 1000;
  }

  #endPrefill(): void {
    const job = this.#inPrefill;
    assert(job !== null, "a prefill ended, and there was none");
    this.#advance();
    this.#inPrefill = null;
    const tokensOut = job.tokensOut ?? 0;
    const tokensLeft = this.#tokensOf(job) - tokensOut - 1;
    if (tokensLeft > 0) {
      job.state = "decoding";
      // From 0 again whenever nobody decodes, so that the counter stays exact over days.
      if (this.#decoding.size === 0) this.#work = 0;
      job.endsAtWork = this.#work + tokensLeft;
      this.#decoding.add(job);
    } else {
      job.state = "over";
    }
    this.#goOn();
    if (tokensOut === 0) this.#news.onFirstToken(job);
    if (tokensLeft <= 0) this.#news.onEnd(job);
  }

  #endDecode(job: J): void {
    this.#advance();
    // Exactly, where the sum of many steps is only nearly there.
    this.#work = job.endsAtWork;
    this.#decoding.delete(job);
    job.state = "over";
    this.#goOn();
    this.#news.onEnd(job);
  }

  /** How long its answer becomes; at least 1. */
  #tokensOf({ outputTokens }: J): number {
    return Math.max(1, Math.min(outputTokens, this.#speed.outputTokensMax ?? OUTPUT_TOKENS_MAX));
  }

  /** Of those that end together, the one that began first. */
  #firstToEnd(): J | null {
    let first: J | null = null;
    for (const job of this.#decoding) if (first === null || job.endsAtWork < first.endsAtWork) first = job;
    return first;
  }

  #takeWaiting(): J | null {
    for (;;) {
      const job = this.#queue[this.#firstWaiting];
      if (job === undefined) {
        this.#queue = [];
        this.#firstWaiting = 0;
        return null;
      }
      this.#firstWaiting += 1;
      if (job.state === "waiting") return job;
    }
  }

  /** How fast each of those that decode advances now. */
  #tokensPerMs(): number {
    const itlMs = this.#speed.itlMs * (1 + (this.#decoding.size - 1) / (RUNNING_MAX - 1));
    return (this.#inPrefill === null ? 1 : DECODE_SHARE_IN_PREFILL) / itlMs;
  }
}
