/** A scheduler that does what a test says. */
import assert from "node:assert/strict";
import type { Lease, LeaseOutcome, WaiterId } from "../../core/lease.ts";
import type { RequestScheduler } from "../lease-desk.ts";

/** Plays the scheduler: what it is told is recorded, what it says is said by the test. */
export class ToldScheduler implements RequestScheduler {
  readonly heard: string[] = [];
  /** Said in the middle of `onRequest`. */
  reply: (waiter: WaiterId) => void = () => {};
  #isSpeaking = false;
  #lastLease = 0;

  onRequest(waiter: WaiterId, model: string): void {
    this.#hear(`request ${waiter} ${model}`);
    this.speak(() => this.reply(waiter));
  }

  letsInAtOnce(): boolean {
    return false;
  }

  onAbandoned(waiter: WaiterId): void {
    this.#hear(`abandoned ${waiter}`);
  }

  onReleased(lease: number, outcome: LeaseOutcome): void {
    this.#hear(`released ${lease} ${outcome}`);
  }

  speak(say: () => void): void {
    this.#isSpeaking = true;
    say();
    this.#isSpeaking = false;
  }

  lease(waiter: WaiterId, waitedMs = 0): Lease {
    return { id: (this.#lastLease += 1), waiter, model: "m", priority: "normal", grantedAtMs: waitedMs, waitedMs };
  }

  #hear(what: string): void {
    assert.ok(!this.#isSpeaking, `the scheduler was called (${what}) while it spoke`);
    this.heard.push(what);
  }
}
