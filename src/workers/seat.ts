/** The main thread's side of one worker: what is said to it and heard from it, until its thread ends. */
import { receiveMessageOnPort } from "node:worker_threads";
import type { ModelId } from "../core/model.ts";
import type { FromWorker, OrderResult, ToWorker, WorkerOrder } from "./messages.ts";
import { Outbox } from "./outbox.ts";
import { Questions } from "./questions.ts";
import type { LeaseHolder } from "./lease-hub.ts";
import type { Thread } from "./thread.ts";

/** Who listens to it. None of these is called when it has ended. */
export interface SeatOwner {
  onMessage(seat: Seat, message: FromWorker): void;
  /** Comes before each lease for a model. */
  onPrepare(seat: Seat, model: ModelId): void;
}

/** From the start of its thread to the end. */
export class Seat implements LeaseHolder {
  /** Its number, from 0; one that comes in the place of another has the same. */
  readonly worker: number;
  readonly startedAtMs: number;
  /** Resolves with the reason when the thread has ended and all that it said has been heard. */
  readonly ended: Promise<string>;
  /** All that it will tell of has arrived at this time or later, in ms since 1970. */
  oldestEpochMs: number;
  readonly #owner: SeatOwner;
  readonly #thread: Thread;
  readonly #outbox: Outbox<ToWorker>;
  readonly #orders = new Questions<OrderResult>();
  /** The reason, when the thread has ended. */
  #end: string | null = null;

  constructor(
    owner: SeatOwner,
    worker: number,
    thread: Thread,
    now: { readonly ms: number; readonly epochMs: number },
  ) {
    this.worker = worker;
    this.startedAtMs = now.ms;
    this.oldestEpochMs = now.epochMs;
    this.#owner = owner;
    this.#thread = thread;
    this.#outbox = new Outbox<ToWorker>(thread.port);
    thread.port.on("message", (messages: readonly FromWorker[]) => this.#hear(messages));
    this.ended = thread.ended.then((reason) => this.#onEnded(reason));
  }

  /** Nobody hears it when the thread has ended. */
  say(message: ToWorker): void {
    if (this.#end === null) this.#outbox.say(message);
  }

  prepare(model: ModelId): void {
    if (this.#end === null) this.#owner.onPrepare(this, model);
  }

  /** Resolves with what has come of it. Rejects when that is a failure, or the thread ends first. */
  async order(order: WorkerOrder): Promise<OrderResult> {
    const result = await new Promise<OrderResult>((resolve) => {
      // Not a race with `ended`: that would keep every order for as long as the thread lives.
      if (this.#end !== null) resolve({ kind: "failed", message: this.#end });
      else this.say({ kind: "order", question: this.#orders.add(resolve), order });
    });
    if (result.kind === "failed") throw new Error(result.message);
    return result;
  }

  /** Hears at once all that it has said. */
  drain(): void {
    for (let next = this.#receive(); next !== null; next = this.#receive()) this.#hear(next);
  }

  /** It is to break all its connections and to end. */
  destroy(): void {
    this.say({ kind: "destroy" });
    this.#outbox.flush();
  }

  /** Ends it, whatever it does. */
  terminate(): void {
    this.#thread.terminate();
  }

  #receive(): readonly FromWorker[] | null {
    return (receiveMessageOnPort(this.#thread.port)?.message as readonly FromWorker[] | undefined) ?? null;
  }

  #hear(messages: readonly FromWorker[]): void {
    for (const message of messages) {
      if (message.kind === "done") this.#orders.answer(message.question, message.result);
      else this.#owner.onMessage(this, message);
    }
  }

  #onEnded(reason: string): string {
    this.drain();
    this.#end = reason;
    this.#thread.port.close();
    this.#orders.answerAll({ kind: "failed", message: reason });
    return reason;
  }
}
