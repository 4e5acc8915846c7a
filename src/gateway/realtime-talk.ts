/** Client and engine of a realtime session talk: frames pass as they are, as fast as the slower one reads. */
import type { Duplex } from "node:stream";
import type { Clock, TimerHandle } from "../ports/clock.ts";
import type { RealtimeClient } from "./realtime-client.ts";
import type { RealtimeVoice } from "./realtime-voice.ts";

/** Who has brought them together. None of these is called after `end`. */
export interface TalkOwner {
  /** The client has read nothing for too long. */
  onStalled(): void;
  /** The engine has ended its side, in order or not; may be called again. */
  onEngineGone(): void;
  /** Runs a step in which something may go wrong. */
  guard(step: () => void): void;
}

/** What it takes. */
export interface TalkParts {
  readonly client: RealtimeClient;
  readonly engine: Duplex;
  readonly voice: RealtimeVoice;
  readonly clock: Clock;
  readonly stallTimeoutMs: number;
}

/** From the engine's handshake to the end of either side. */
export class RealtimeTalk {
  readonly #parts: TalkParts;
  readonly #owner: TalkOwner;
  #stall: TimerHandle | null = null;
  #isOver = false;

  /** `saidBefore`: what the client has said before its engine was there. */
  constructor(parts: TalkParts, owner: TalkOwner, saidBefore: Buffer) {
    this.#parts = parts;
    this.#owner = owner;
    const { client, engine } = parts;
    const onGone = (): void => {
      if (!this.#isOver) owner.guard(() => owner.onEngineGone());
    };
    engine.on("data", (chunk: Buffer) => owner.guard(() => this.#fromEngine(chunk)));
    engine.on("drain", () => client.resume());
    engine.on("end", onGone);
    engine.on("close", onGone);
    engine.write(saidBefore);
    client.resume();
  }

  fromClient(chunk: Buffer): void {
    if (!this.#parts.engine.write(chunk)) this.#parts.client.pause();
  }

  /** The client has read what it was told. */
  onRoom(): void {
    this.#stall?.cancel();
    this.#parts.engine.resume();
  }

  /** The engine's connection is gone when this returns. */
  end(): void {
    this.#isOver = true;
    this.#stall?.cancel();
    this.#parts.engine.destroy();
  }

  #fromEngine(chunk: Buffer): void {
    if (this.#isOver) return;
    const { client, engine, voice, clock, stallTimeoutMs } = this.#parts;
    const out = voice.push(chunk);
    if (out.length === 0 || client.tell(out)) return;
    engine.pause();
    this.#stall?.cancel();
    this.#stall = clock.after(stallTimeoutMs, () => {
      if (!this.#isOver) this.#owner.guard(() => this.#owner.onStalled());
    });
  }
}
