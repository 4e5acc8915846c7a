/** What one thread says to another: all that is said in one turn of the event loop goes out as one message. */
import type { MessagePort } from "node:worker_threads";

const NOTHING_TO_MOVE: [] = [];

/** One direction of a channel. */
export class Outbox<Message> {
  readonly #port: Pick<MessagePort, "postMessage">;
  #messages: Message[] = [];
  #isPlanned = false;

  constructor(port: Pick<MessagePort, "postMessage">) {
    this.#port = port;
  }

  /** Said at the end of this turn. */
  say(message: Message): void {
    this.#messages.push(message);
    if (this.#isPlanned) return;
    this.#isPlanned = true;
    setImmediate(() => {
      this.#isPlanned = false;
      this.flush();
    });
  }

  /** What is to be said goes out now. */
  flush(): void {
    if (this.#messages.length === 0) return;
    const messages = this.#messages;
    this.#messages = [];
    this.#port.postMessage(messages, NOTHING_TO_MOVE);
  }
}
