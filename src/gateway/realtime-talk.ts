/** Client and engine of a realtime session talk: frames pass as they are, as fast as the slower one reads. */
import type { Duplex } from "node:stream";
import type { Clock, TimerHandle } from "../ports/clock.ts";
import type { RealtimeClient } from "./realtime-client.ts";
import type { RealtimeRenaming } from "./realtime-renaming.ts";
import type { RealtimeVoice } from "./realtime-voice.ts";

/** Who has brought them together. None of these is called after `end`. */
export interface TalkOwner {
  /** The client has read nothing for too long. */
  onStalled(): void;
  /** What the client sends cannot be told apart any more. */
  onGarbled(): void;
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
  /** Null where the engine knows the model by the name that clients use. */
  readonly renaming: RealtimeRenaming | null;
  readonly clock: Clock;
  readonly stallTimeoutMs: number;
}

/** From the engine's handshake to the end of either side. */
export class RealtimeTalk {
  readonly #parts: TalkParts;
  readonly #owner: TalkOwner;
  #stall: TimerHandle | null = null;
  #isOver = false;

  constructor(parts: TalkParts, owner: TalkOwner) {
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
    client.resume();
  }

  fromClient(chunk: Buffer): void {
    const { client, engine, renaming } = this.#parts;
    const said = renaming === null ? chunk : renaming.push(chunk);
    if (said === null) this.#owner.onGarbled();
    else if (said.length > 0 && !engine.write(said)) client.pause();
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
