/** The scheduler as a worker sees it: at the other end of a channel, and with an answer that always comes later. */
import type { LeaseId, LeaseOutcome, WaiterId } from "../core/lease.ts";
import type { ModelId, Priority } from "../core/model.ts";
import type { LeaseDesk, RequestScheduler } from "../gateway/lease-desk.ts";
import type { FromWorker, ToWorker } from "./messages.ts";

/** What the scheduler says of requests. */
type Answer = Extract<ToWorker, { kind: "granted" | "refused" | "revoked" }>;

/** One per worker. */
export class RemoteScheduler implements RequestScheduler {
  readonly #say: (message: FromWorker) => void;
  readonly #desk: () => LeaseDesk;

  constructor(say: (message: FromWorker) => void, desk: () => LeaseDesk) {
    this.#say = say;
    this.#desk = desk;
  }

  onRequest(waiter: WaiterId, model: ModelId, _nowMs: number, priority?: Priority): void {
    this.#say({ kind: "request", waiter, model, priority });
  }

  /** That is known at the other end only. */
  letsInAtOnce(): boolean {
    return false;
  }

  onAbandoned(waiter: WaiterId): void {
    this.#say({ kind: "abandoned", waiter });
  }

  onReleased(lease: LeaseId, outcome: LeaseOutcome): void {
    this.#say({ kind: "released", lease, outcome });
  }

  /** To be told what the scheduler says. Whatever the worker has said in the meantime, it has not heard yet. */
  hear(answer: Answer): void {
    const desk = this.#desk();
    switch (answer.kind) {
      case "granted":
        // Its client has gone, and the scheduler knew nothing of that.
        if (desk.waitingAs(answer.lease.waiter) === null) this.onReleased(answer.lease.id, "abandoned");
        else desk.onGrant(answer.lease);
        break;
      case "refused":
        if (desk.waitingAs(answer.waiter) !== null) desk.onRefuse(answer.waiter, answer.failure);
        break;
      case "revoked":
        // Otherwise it has been handed in already.
        if (desk.hasOut(answer.lease.id)) desk.onRevoke(answer.lease, answer.failure);
        break;
    }
  }
}
