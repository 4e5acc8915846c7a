/** What a JSON body asks for: its model, and whether it wants a stream. */
import { failure, type Failure } from "../base/failure.ts";
import type { BodyAsk, BodyForm, BodyScan, ByteSpan } from "./body-ask.ts";
import { JsonGrammar, LITERAL_BYTES_MAX, type JsonListener } from "./json-grammar.ts";
import { Utf8Check } from "./utf8-check.ts";

/** Bodies that are JSON objects. */
export const JSON_FORM: BodyForm = {
  scan: () => new JsonScan(),
  write: (name) => Buffer.from(JSON.stringify(name)),
};

/** The keys that count, as they are nearly always written. */
const MODEL_KEY = '"model"';
const STREAM_KEY = '"stream"';

/** With one letter as `\u006d`, and with all of them so. */
const ESCAPED_KEY_BYTES_MIN = MODEL_KEY.length + 5;
const ESCAPED_KEY_BYTES_MAX = 6 * STREAM_KEY.length - 10;

const BACKSLASH = 0x5c;

/** One body. Of several faults, those of the whole are told before those of `model`, and of these the first. */
class JsonScan implements BodyScan, JsonListener {
  readonly #utf8 = new Utf8Check();
  readonly #grammar = new JsonGrammar(this);
  #isEmpty = true;
  #root = "";
  #isModelNext = false;
  #model: string | null = null;
  #modelAt: ByteSpan | null = null;
  #wantsStream = false;
  #fault: string | null = null;

  push(chunk: Buffer): void {
    if (chunk.length > 0) this.#isEmpty = false;
    this.#utf8.push(chunk);
    this.#grammar.push(chunk);
  }

  end(done: (ask: BodyAsk | Failure) => void): void {
    const fault = this.#wholeFault() ?? this.#fault;
    if (fault !== null) return done(failure("invalid_request", fault));
    const [model, wantsStream, modelAt] = [this.#model, this.#wantsStream, this.#modelAt];
    done(modelAt === null ? { model, wantsStream } : { model, wantsStream, modelAt });
  }

  #wholeFault(): string | null {
    if (this.#isEmpty) return "The body is empty; it must be a JSON object with a `model`.";
    if (!this.#utf8.isValid) return "The body is not valid UTF-8.";
    const broken = this.#grammar.end();
    if (broken !== null) return broken;
    return this.#root === "an object" ? null : `The body must be a JSON object, and it is ${this.#root}.`;
  }

  // ── what the grammar tells ────────────────────────────────────────────────────────────────────────────────────────

  onRoot(first: number): void {
    this.#root = kindOf(first);
  }

  onKey(bytes: Buffer, from: number, to: number): boolean {
    const key = keyIn(bytes, from, to);
    this.#isModelNext = key === MODEL_KEY;
    if (key === STREAM_KEY) this.#wantsStream = false;
    if (key !== MODEL_KEY) return key === STREAM_KEY;
    // Parsers differ in which of two equal keys counts: we might ask for one model, and the engine might serve the other.
    // A first one that is no string has been refused for that.
    if (this.#model !== null) this.#refuse("`model` is given more than once.");
    return true;
  }

  onValue(first: number): void {
    if (this.#isModelNext) this.#refuse(`\`model\` must be a string, and it is ${kindOf(first)}.`);
    else this.#wantsStream = first === 0x74;
  }

  onString(bytes: Buffer, from: number, to: number, position: number): void {
    if (!this.#isModelNext) return;
    if (to - from > LITERAL_BYTES_MAX) return this.#refuse("`model` is too long to be the name of a model.");
    if (!isWritten(lastName.literal, bytes, from, to)) lastName = nameIn(bytes, from, to);
    this.#model = lastName.name;
    this.#modelAt = { from: position, to: position + to - from };
    if (this.#model === "") this.#refuse("`model` is empty.");
  }

  #refuse(fault: string): void {
    this.#fault ??= fault;
  }
}

/** The last name that was read, which is often the next as well: to make a string of bytes takes longer than to compare them. */
let lastName = { literal: "", name: "" };

function nameIn(bytes: Buffer, from: number, to: number): typeof lastName {
  const literal = bytes.toString("latin1", from, to);
  return { literal, name: textOf(bytes, from, to) };
}

function keyIn(bytes: Buffer, from: number, to: number): typeof MODEL_KEY | typeof STREAM_KEY | null {
  if (isWritten(MODEL_KEY, bytes, from, to)) return MODEL_KEY;
  if (isWritten(STREAM_KEY, bytes, from, to)) return STREAM_KEY;
  if (!mayBeEscaped(bytes, from, to)) return null;
  const key = `"${textOf(bytes, from, to)}"`;
  return key === MODEL_KEY || key === STREAM_KEY ? key : null;
}

function isWritten(key: string, bytes: Buffer, from: number, to: number): boolean {
  if (to - from !== key.length) return false;
  for (let at = 1; at < key.length; at += 1) if (bytes[from + at] !== key.charCodeAt(at)) return false;
  return true;
}

function mayBeEscaped(bytes: Buffer, from: number, to: number): boolean {
  if (to - from < ESCAPED_KEY_BYTES_MIN || to - from > ESCAPED_KEY_BYTES_MAX) return false;
  for (let at = from; at < to; at += 1) if (bytes[at] === BACKSLASH) return true;
  return false;
}

/** What a literal stands for. */
function textOf(bytes: Buffer, from: number, to: number): string {
  const text = bytes.toString("utf8", from + 1, to - 1);
  return text.includes("\\") ? String(JSON.parse(`"${text}"`)) : text;
}

/** By its first byte. */
function kindOf(first: number): string {
  if (first === 0x7b) return "an object";
  if (first === 0x5b) return "an array";
  if (first === 0x22) return "a string";
  if (first === 0x6e) return "null";
  return first === 0x74 || first === 0x66 ? "a boolean" : "a number";
}
