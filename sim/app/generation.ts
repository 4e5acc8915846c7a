/** One request on a simulated engine, and its answer, piece by piece. */
import type { Scheduled, VirtualClock } from "../../src/simulation/virtual-clock.ts";
import type { AnswerHead, EngineAnswer } from "./answers.ts";

/** Where an answer goes. */
export interface AnswerSink {
  onHead(head: AnswerHead): void;
  onPiece(piece: Buffer): void;
  onEnd(): void;
  /** The connection is gone. */
  onBroken(): void;
}

/** How fast it comes. */
export interface Pace {
  readonly firstByteMs: number;
  readonly pieceMs: number;
  /** Additional time before a piece; null: it never comes. */
  readonly stallMs: (piece: number) => number | null;
  /** The connection breaks before this piece; null: it does not. */
  readonly breaksAt: number | null;
}

/** It runs from its making to its end, its break or its cancellation. */
export class Generation {
  readonly #clock: VirtualClock;
  readonly #answer: EngineAnswer;
  readonly #sink: AnswerSink;
  readonly #pace: Pace;
  readonly #onOver: () => void;
  #next = 0;
  #timer: Scheduled | null = null;
  #isOver = false;
  #isFrozen = false;

  /** `onOver` is called once, whatever the end. */
  constructor(clock: VirtualClock, answer: EngineAnswer, sink: AnswerSink, pace: Pace, onOver: () => void) {
    this.#clock = clock;
    this.#answer = answer;
    this.#sink = sink;
    this.#pace = pace;
    this.#onOver = onOver;
    this.#plan(pace.firstByteMs);
  }

  /** Whether a byte of the answer has been sent. */
  get hasBegun(): boolean {
    return this.#next > 0;
  }

  /** The client has gone. */
  cancel(): void {
    this.#finish();
  }

  /** The engine has gone, or the connection. */
  break(): void {
    if (this.#finish()) this.#sink.onBroken();
  }

  /** Another answer takes the place of this one, which has not begun. */
  answerInstead(answer: EngineAnswer): void {
    if (!this.#finish()) return;
    this.#sink.onHead(answer);
    for (const piece of answer.pieces) this.#sink.onPiece(piece);
    this.#sink.onEnd();
  }

  /** It stands still, as under an engine that sleeps with `mode=keep`. */
  freeze(): void {
    this.#isFrozen = true;
    if (this.#timer !== null) this.#timer.run = null;
  }

  /** It goes on. */
  thaw(): void {
    if (!this.#isFrozen) return;
    this.#isFrozen = false;
    this.#plan(this.#pace.pieceMs);
  }

  #plan(delayMs: number): void {
    const { stallMs } = this.#pace;
    const stalledMs = stallMs(this.#next);
    if (stalledMs === null || this.#isOver) return;
    this.#timer = this.#clock.after(delayMs + stalledMs, () => this.#send());
  }

  #send(): void {
    const index = this.#next;
    if (index === this.#pace.breaksAt) return this.break();
    const piece = this.#answer.pieces[index];
    if (piece === undefined) {
      if (this.#finish()) this.#sink.onEnd();
      return;
    }
    this.#next += 1;
    if (index === 0) this.#sink.onHead(this.#answer);
    this.#sink.onPiece(piece);
    if (this.#isOver) return;
    const isLast = this.#next === this.#answer.pieces.length;
    // With its length told, the last byte is the end; else the end may come later, or never.
    if (isLast && this.#answer.headers["content-length"] !== undefined) {
      if (this.#finish()) this.#sink.onEnd();
    } else if (!this.#isFrozen) this.#plan(isLast ? 0 : this.#pace.pieceMs);
  }

  #finish(): boolean {
    if (this.#isOver) return false;
    this.#isOver = true;
    if (this.#timer !== null) this.#timer.run = null;
    this.#onOver();
    return true;
  }
}
