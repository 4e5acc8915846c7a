/**
 * Continuous batching as an engine does it: prompts are read one after another, and all that write share the engine's speed.
 *
 * The first token comes with the end of the prompt. All that write advance alike, so their progress is one number, the work
 * counter: tokens that a request would have had that was there all the time. No clock in here: every call brings the time, in ms,
 * and what should have happened in between has happened exactly when it was due, however late the call is.
 */

/** How fast an engine is. */
export interface BatchSpeed {
  /** Between two tokens of a request that is alone. */
  readonly itlMs: number;
  readonly prefillTokensPerMs: number;
}

/** With so many that write, the time between two tokens is twice that of one alone. */
const TWICE_AS_SLOW_AT = 64;

/** The speed of writing while a prompt is read, as a share of the speed without. */
const WRITING_SHARE_IN_PREFILL = 0.6;

interface Seat {
  readonly promptTokens: number;
  readonly outputTokens: number;
  phase: "waits" | "in prefill" | "writes" | "over";
  /** Those that were out when it began to write. */
  tokens: number;
  /** Where the work counter stood then. */
  fromWork: number;
}

/** Requests under way in one engine, by a key of the caller's. */
export class Batch<K> {
  readonly #speed: BatchSpeed;
  /** In the order in which they came. */
  readonly #seats = new Map<K, Seat>();
  readonly #writing = new Set<Seat>();
  #inPrefill: Seat | null = null;
  #prefillLeftMs = 0;
  #work = 0;
  #asOfMs: number;
  #isFrozen = false;

  constructor(speed: BatchSpeed, nowMs: number) {
    this.#speed = speed;
    this.#asOfMs = nowMs;
  }

  join(key: K, { promptTokens, outputTokens }: { promptTokens: number; outputTokens: number }, nowMs: number): void {
    this.advance(nowMs);
    this.#seats.set(key, { promptTokens, outputTokens, phase: "waits", tokens: 0, fromWork: 0 });
    this.#beginPrefill();
  }

  leave(key: K, nowMs: number): void {
    this.advance(nowMs);
    const seat = this.#seats.get(key);
    if (seat === undefined) return;
    this.#seats.delete(key);
    this.#writing.delete(seat);
    if (this.#inPrefill === seat) this.#inPrefill = null;
    this.#beginPrefill();
  }

  /** Nothing goes on from here. */
  freeze(nowMs: number): void {
    this.advance(nowMs);
    this.#isFrozen = true;
  }

  /** Goes on. What had been read and written before is read again first, in the old order: a sleep keeps no KV cache. */
  thaw(nowMs: number): void {
    this.advance(nowMs);
    if (!this.#isFrozen) return;
    this.#isFrozen = false;
    for (const seat of this.#seats.values()) {
      if (seat.phase === "over") continue;
      seat.tokens = this.#tokensOf(seat);
      seat.phase = "waits";
    }
    this.#writing.clear();
    this.#inPrefill = null;
    this.#beginPrefill();
  }

  /** How many tokens of its answer are out, as of the last call that brought the time; 0 for a key that is not here. */
  tokensOut(key: K): number {
    const seat = this.#seats.get(key);
    return seat === undefined ? 0 : this.#tokensOf(seat);
  }

  /** When the next token of anybody comes out, if nothing else happens before; infinite if none will. */
  nextDueMs(): number {
    if (this.#isFrozen) return Infinity;
    let dueMs = this.#inPrefill === null ? Infinity : this.#asOfMs + this.#prefillLeftMs;
    for (const seat of this.#writing) {
      const nextAtWork = seat.fromWork + (this.#tokensOf(seat) - seat.tokens) + 1;
      dueMs = Math.min(dueMs, this.#asOfMs + (nextAtWork - this.#work) * this.#msPerToken());
    }
    return dueMs;
  }

  /** Lets everything happen that was due by now. */
  advance(nowMs: number): void {
    if (this.#isFrozen) this.#asOfMs = nowMs;
    for (;;) {
      const prefillMs = this.#inPrefill === null ? Infinity : this.#asOfMs + this.#prefillLeftMs;
      const first = this.#firstToEnd();
      const endMs =
        first === null ? Infinity : this.#asOfMs + Math.max(0, lastWorkOf(first) - this.#work) * this.#msPerToken();
      const nextMs = Math.min(prefillMs, endMs);
      // Also for a call whose time is the past: nothing goes backwards.
      if (this.#isFrozen || nextMs > nowMs) return this.#pass(Math.max(nowMs, this.#asOfMs));
      this.#pass(nextMs);
      if (first !== null && endMs < prefillMs) this.#endWriting(first);
      else this.#endPrefill();
    }
  }

  /** At the speeds that have held since the last event. */
  #pass(untilMs: number): void {
    const passedMs = untilMs - this.#asOfMs;
    if (this.#writing.size > 0) this.#work += passedMs / this.#msPerToken();
    if (this.#inPrefill !== null) this.#prefillLeftMs = Math.max(0, this.#prefillLeftMs - passedMs);
    this.#asOfMs = untilMs;
  }

  #beginPrefill(): void {
    if (this.#inPrefill !== null) return;
    for (const seat of this.#seats.values()) {
      if (seat.phase !== "waits") continue;
      seat.phase = "in prefill";
      this.#inPrefill = seat;
      this.#prefillLeftMs = (seat.promptTokens + seat.tokens) / this.#speed.prefillTokensPerMs;
      return;
    }
  }

  #endPrefill(): void {
    const seat = this.#inPrefill;
    this.#inPrefill = null;
    if (seat !== null) {
      seat.tokens += 1;
      seat.phase = seat.tokens < seat.outputTokens ? "writes" : "over";
      // From 0 again whenever nobody writes, so that the counter stays exact.
      if (this.#writing.size === 0) this.#work = 0;
      seat.fromWork = this.#work;
      if (seat.phase === "writes") this.#writing.add(seat);
    }
    this.#beginPrefill();
  }

  #endWriting(seat: Seat): void {
    // Exactly, where the sum of many steps is only nearly there.
    this.#work = lastWorkOf(seat);
    this.#writing.delete(seat);
    seat.tokens = seat.outputTokens;
    seat.phase = "over";
  }

  #firstToEnd(): Seat | null {
    let first: Seat | null = null;
    for (const seat of this.#writing) if (first === null || lastWorkOf(seat) < lastWorkOf(first)) first = seat;
    return first;
  }

  #tokensOf(seat: Seat): number {
    if (seat.phase !== "writes") return seat.tokens;
    return seat.tokens + Math.floor(this.#work - seat.fromWork + ROUNDING);
  }

  #msPerToken(): number {
    const itlMs = this.#speed.itlMs * (1 + (this.#writing.size - 1) / (TWICE_AS_SLOW_AT - 1));
    return itlMs / (this.#inPrefill === null ? 1 : WRITING_SHARE_IN_PREFILL);
  }
}

/** The counter is a sum of many steps. */
const ROUNDING = 1e-6;

/** Where the work counter will stand when its last token is out. */
function lastWorkOf(seat: Seat): number {
  return seat.fromWork + seat.outputTokens - seat.tokens;
}
