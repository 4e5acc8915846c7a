/** Reads a large JSON body as it comes: the same rules as for a small one, without ever having it whole in memory. */
import { failure, type Failure } from "../base/failure.ts";
import type { BodyAsk, BodyScan, ByteSpan } from "./body-ask.ts";
import { JsonGrammar, type JsonListener } from "./json-grammar.ts";
import { Utf8Check } from "./utf8-check.ts";

/** Longer names there are none, in bytes as they are written. */
const NAME_BYTES_MAX = 4_096;

/** One body. */
export class JsonScan implements BodyScan, JsonListener {
  readonly #utf8 = new Utf8Check();
  readonly #grammar = new JsonGrammar(this);
  #key: "model" | "stream" | null = null;
  #model: string | null = null;
  #modelAt: ByteSpan | null = null;
  #wantsStream = false;
  #failure: Failure | null = null;

  push(chunk: Buffer): void {
    if (this.#failure !== null) return;
    this.#utf8.push(chunk);
    this.#grammar.push(chunk);
  }

  end(done: (ask: BodyAsk | Failure) => void): void {
    done(this.#result());
  }

  #result(): BodyAsk | Failure {
    if (this.#failure !== null) return this.#failure;
    if (!this.#utf8.isValid) return invalid("The body is not valid UTF-8.");
    const broken = this.#grammar.end();
    if (broken !== null) return invalid(`The body is not valid JSON: ${broken}.`);
    const ask = { model: this.#model, wantsStream: this.#wantsStream };
    return this.#modelAt === null ? ask : { ...ask, modelAt: this.#modelAt };
  }

  // ── what the grammar tells ────────────────────────────────────────────────────────────────────────────────────────

  onRoot(kind: string): void {
    if (kind !== "an object") this.#refuse(`The body must be a JSON object, and it is ${shown(kind)}.`);
  }

  onKey(literal: string | null): void {
    const key: unknown = literal === null ? null : JSON.parse(literal);
    this.#key = key === "model" || key === "stream" ? key : null;
    if (key === "model" && this.#model !== null) this.#refuse("`model` is given more than once.");
  }

  get wantsValue(): number {
    return this.#key === "model" ? NAME_BYTES_MAX : 0;
  }

  onValue(kind: string, literal: string | null, from: number): void {
    if (this.#key === "stream") this.#wantsStream = kind === "true";
    else if (this.#key === "model") this.#onModel(kind, literal, from);
  }

  #onModel(kind: string, literal: string | null, from: number): void {
    if (kind !== "a string") {
      return this.#refuse(`\`model\` must be a string, and it is ${shown(kind)}.`);
    }
    if (literal === null) return this.#refuse("`model` is too long to be the name of a model.");
    this.#model = String(JSON.parse(literal));
    this.#modelAt = { from, to: from + Buffer.byteLength(literal) };
    if (this.#model === "") this.#refuse("`model` is empty.");
  }

  #refuse(message: string): void {
    this.#failure ??= invalid(message);
  }
}

function shown(kind: string): string {
  return kind === "true" || kind === "false" ? "a boolean" : kind;
}

function invalid(message: string): Failure {
  return failure("invalid_request", message);
}
