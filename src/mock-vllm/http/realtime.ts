/** GET /v1/realtime: a WebSocket that takes audio in pieces and says what it hears, a word for each piece. */
import { createHash, randomBytes, type Hash } from "node:crypto";
import { EngineDeadError } from "../engine-link.ts";
import { ClientGoneError } from "../decoder.ts";
import type { LoggedRequest } from "../request-log.ts";
import type { Services } from "../services.ts";
import type { JsonObject } from "./exchange.ts";
import { generate, type Ending } from "./generation.ts";
import { isObject, usageOf } from "./request-fields.ts";

/** Where its events go. */
type Send = (event: object) => void;

/** One session, from the handshake to the end of its connection. */
export class RealtimeSession {
  readonly #services: Services;
  readonly #logged: LoggedRequest;
  readonly #send: Send;
  readonly #gone = new AbortController();
  /** Pieces of audio that nobody has listened to yet; null: the utterance is over. */
  #audio: (Buffer | null)[] = [];
  #onAudio: (() => void) | undefined;
  #isModelValidated = false;
  #isTranscribing = false;

  constructor(services: Services, logged: LoggedRequest, send: Send) {
    this.#services = services;
    this.#logged = logged;
    this.#send = send;
    const id = `sess-${randomBytes(16).toString("hex")}`;
    send({ type: "session.created", id, created: Math.floor(Date.now() / 1000) });
  }

  /** A message of the client. */
  onText(text: string): void {
    let event: unknown;
    try {
      event = JSON.parse(text) as unknown;
    } catch {
      return this.#fail("Invalid JSON", "invalid_json");
    }
    if (!isObject(event)) return this.#fail("an event must be an object with a type", "processing_error");
    return this.#onEvent(event);
  }

  /** The client has gone: what it was told is broken off. */
  end(): void {
    this.#gone.abort();
    this.#push(null);
    this.#services.requests.close(this.#logged, this.#isTranscribing ? "client gone" : "finished");
  }

  #onEvent(event: JsonObject): void {
    const type = event["type"];
    if (type === "session.update") this.#update(event["model"]);
    else if (type === "input_audio_buffer.append") this.#append(event["audio"]);
    else if (type === "input_audio_buffer.commit") this.#commit(event["final"] === true);
    else this.#fail(`Unknown event type: ${typeof type === "string" ? type : "None"}`, "unknown_event");
  }

  #update(model: unknown): void {
    if (model === undefined || model === null) return this.#fail("Missing required field: model", "invalid_event");
    const name = typeof model === "string" ? model : JSON.stringify(model);
    const isKnown = name === "" || this.#services.args.servedModelNames.includes(name);
    if (!isKnown) return this.#fail(`The model \`${name}\` does not exist.`, "model_not_found");
    this.#isModelValidated = true;
  }

  #append(audio: unknown): void {
    if (typeof audio !== "string") return this.#fail("audio: Field required", "processing_error");
    const samples = Buffer.from(audio, "base64");
    if (samples.length === 0 || samples.length % 2 !== 0) return this.#fail("Invalid audio data", "invalid_audio");
    return this.#push(samples);
  }

  #commit(isFinal: boolean): void {
    if (!this.#isModelValidated) {
      const message = "Model not validated. Make sure to validate the model by sending a session.update event.";
      return this.#fail(message, "model_not_validated");
    }
    if (isFinal) return this.#push(null);
    if (!this.#isTranscribing) void this.#transcribe();
    return undefined;
  }

  #push(samples: Buffer | null): void {
    this.#audio.push(samples);
    this.#onAudio?.();
  }

  async #transcribe(): Promise<void> {
    this.#isTranscribing = true;
    const heard = createHash("sha256");
    let text = "";
    let ending: Ending = { reason: "stop", stop: undefined, promptTokens: 0, completionTokens: 0 };
    try {
      for (let samples = await this.#listen(); samples !== null; samples = await this.#listen()) {
        const { word, end } = await this.#word(heard.update(samples));
        const delta = text === "" ? word : ` ${word}`;
        text += delta;
        ending = {
          ...end,
          promptTokens: ending.promptTokens + end.promptTokens,
          completionTokens: ending.completionTokens + end.completionTokens,
        };
        this.#logged.tokens += end.completionTokens;
        if (end.completionTokens > 0) this.#send({ type: "transcription.delta", delta });
        if (end.reason === "abort") break;
      }
      this.#send({ type: "transcription.done", text, usage: usageOf(ending) });
      this.#audio = [];
    } catch (error) {
      if (error instanceof ClientGoneError) return;
      if (!(error instanceof EngineDeadError)) throw error;
      this.#fail(error.message, "processing_error");
    } finally {
      this.#isTranscribing = false;
    }
  }

  async #listen(): Promise<Buffer | null> {
    while (this.#audio.length === 0) {
      await new Promise<void>((resolve) => {
        this.#onAudio = resolve;
      });
    }
    return this.#audio.shift() ?? null;
  }

  /** What it makes of all that it has heard so far. */
  async #word(heard: Hash): Promise<{ word: string; end: Ending }> {
    const { servedModelNames, model } = this.#services.args;
    const pieces = generate(
      { services: this.#services, gone: this.#gone.signal, logged: undefined },
      {
        modelName: servedModelNames[0] ?? model,
        prompt: heard.copy().digest("hex"),
        maxTokens: 1,
        maxTokensName: "max_tokens",
        stops: [],
        json: { temperature: 0, seed: 0, ignore_eos: true },
      },
    );
    let word = "";
    for (;;) {
      const next = await pieces.next();
      if (next.done === true) return { word, end: next.value };
      word += next.value;
    }
  }

  /** Its errors are texts, not objects as elsewhere. */
  #fail(error: string, code: string): void {
    this.#send({ type: "error", error, code });
  }
}
