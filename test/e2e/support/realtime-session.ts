/** A client of `/v1/realtime` for scenarios. */
import { until } from "../../support/until.ts";
import type { Stage } from "./stage.ts";

/** What an engine says. */
export interface RealtimeEvent {
  readonly type: string;
  readonly text?: string;
  readonly error?: unknown;
}

/** A session as its client sees it. */
export class RealtimeSession {
  readonly events: RealtimeEvent[] = [];
  readonly closed: Promise<number>;
  readonly #socket: WebSocket;

  constructor(stage: Stage, query = "") {
    this.#socket = new WebSocket(`ws://127.0.0.1:${stage.port}/v1/realtime${query}`);
    this.#socket.addEventListener("message", ({ data }) => this.events.push(JSON.parse(String(data)) as RealtimeEvent));
    this.#socket.addEventListener("error", () => {});
    this.closed = new Promise((resolve) => {
      this.#socket.addEventListener("close", ({ code }) => resolve(code));
    });
  }

  get types(): readonly string[] {
    return this.events.map(({ type }) => type);
  }

  say(...events: readonly object[]): void {
    for (const event of events) this.#socket.send(JSON.stringify(event));
  }

  async heard(type: string): Promise<RealtimeEvent> {
    return until(`"${type}" is heard`, () => this.events.find((event) => event.type === type));
  }

  /** Names its model, says two pieces, and hears what was understood of them. */
  async converse(model: string): Promise<string> {
    await this.heard("session.created");
    const before = this.events.length;
    this.say({ type: "session.update", model }, COMMIT, APPEND, APPEND, { ...COMMIT, final: true });
    await until("the answer", () => this.types.slice(before).includes("transcription.done"));
    return this.events.at(-1)?.text ?? "";
  }

  close(): void {
    this.#socket.close();
  }
}

/** The audio is to be listened to. */
export const COMMIT = { type: "input_audio_buffer.commit" };
/** A piece of audio. */
export const APPEND = { type: "input_audio_buffer.append", audio: Buffer.alloc(3_200, 7).toString("base64") };
