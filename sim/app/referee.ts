/** Keeps the first broken rule. The rules are checked in the midst of the app's own work, so nothing is thrown there. */

/** The rules that the app is held to; what each says in full is told where it is checked. */
export type AppRule =
  | "every request ends exactly once"
  | "every end is a proper one"
  | "nothing looks complete that is not"
  | "only an awake engine gets requests"
  | "a body arrives as it was sent"
  | "sent again only while nothing was passed on"
  | "a key opens what it is for, and no more"
  | "heartbeats are for those who wait"
  | "heartbeats come in time"
  | "unread heartbeats do not pile up"
  | "one transition a device"
  | "GPU memory is never over-committed"
  | "host memory is never over-committed"
  | "put away only when nothing runs"
  | "what hangs is given up"
  | "an end is noticed at once"
  | "weights are back before anything runs on them"
  | "nobody waits longer than the timeout"
  | "looking gets an answer at once"
  | "the end wakes nobody"
  | "the end leaves nothing"
  | "the end comes"
  | "no client hangs"
  | "the next start ends what was left"
  | "the journal agrees with what clients saw"
  | "the metrics agree with the journal"
  | "llmux itself is sound";

/** A rule that does not hold, and how that was seen. */
export interface BrokenRule {
  readonly rule: AppRule;
  readonly message: string;
}

/** One instance a run. */
export class Referee {
  #broken: BrokenRule | null = null;

  /** The first rule that was broken; null while all hold. */
  get broken(): BrokenRule | null {
    return this.#broken;
  }

  /** `message` is made only when the rule is broken. */
  demand(condition: boolean, rule: AppRule, message: () => string): void {
    if (!condition && this.#broken === null) this.#broken = { rule, message: message() };
  }
}
