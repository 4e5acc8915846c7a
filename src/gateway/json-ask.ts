/** What a JSON body asks for: its model, and whether it wants a stream. */
import { isUtf8 } from "node:buffer";
import { failure, type Failure } from "../base/failure.ts";
import type { BodyAsk, BodyForm } from "./body-ask.ts";
import { JsonScan } from "./json-scan.ts";

/** Bodies that are JSON objects. */
export const JSON_FORM: BodyForm = {
  read: (body, done) => done(readJsonAsk(body)),
  scan: () => new JsonScan(),
  write: (name) => Buffer.from(JSON.stringify(name)),
};

const MODEL_KEY = Buffer.from('"model"');
const LETTER_DIGITS = Buffer.from("006");
const LETTER_ESCAPE = Buffer.from("\\u006");

/** Returns what the body asks for, or why it cannot be read. */
export function readJsonAsk(body: Buffer): BodyAsk | Failure {
  if (body.length === 0) return invalid("The body is empty; it must be a JSON object with a `model`.");
  if (!isUtf8(body)) return invalid("The body is not valid UTF-8.");
  const text = body.toString("utf8");
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch (error) {
    return invalid(`The body is not valid JSON${whereItBroke(error)}.`);
  }
  if (typeof document !== "object" || document === null || Array.isArray(document)) {
    return invalid(`The body must be a JSON object, and it is ${describe(document)}.`);
  }
  const wantsStream = Object.hasOwn(document, "stream") && Reflect.get(document, "stream") === true;
  const model: unknown = Object.hasOwn(document, "model") ? Reflect.get(document, "model") : undefined;
  if (model === undefined) return { model: null, wantsStream };
  if (typeof model !== "string") return invalid(`\`model\` must be a string, and it is ${describe(model)}.`);
  if (model === "") return invalid("`model` is empty.");
  if (isGivenTwice(body, text)) return invalid("`model` is given more than once.");
  return { model, wantsStream };
}

/**
 * Parsers differ in which of two equal keys counts; with two models in a body, we might ask for one and the engine might
 * serve the other. Nearly every body has the key once and nothing that could hide another: those are not scanned.
 */
function isGivenTwice(body: Buffer, text: string): boolean {
  const first = body.indexOf(MODEL_KEY);
  return (body.includes(MODEL_KEY, first + 1) || mayHideLetters(body)) && countTopLevelModels(text) > 1;
}

/** Each letter of the key can be written as `\u006` and a digit. Escapes are frequent, and these three digits in a row are rare. */
function mayHideLetters(body: Buffer): boolean {
  return body.includes(LETTER_DIGITS) && body.includes(LETTER_ESCAPE);
}

/** Walks over the text of a valid JSON object. A string at depth 1 that a colon follows is one of its keys. */
function countTopLevelModels(text: string): number {
  let count = 0;
  let depth = 0;
  for (let at = 0; at < text.length; at += 1) {
    const character = text[at];
    if (character === "{" || character === "[") depth += 1;
    else if (character === "}" || character === "]") depth -= 1;
    else if (character === '"') {
      const end = closingQuote(text, at + 1);
      if (depth === 1 && isModelKey(text, at, end)) count += 1;
      at = end;
    }
  }
  return count;
}

function closingQuote(text: string, from: number): number {
  for (let end = text.indexOf('"', from); ; end = text.indexOf('"', end + 1)) {
    let backslashes = 0;
    while (text[end - 1 - backslashes] === "\\") backslashes += 1;
    if (backslashes % 2 === 0 || end === -1) return end === -1 ? text.length : end;
  }
}

function isModelKey(text: string, start: number, end: number): boolean {
  const literal = text.slice(start, end + 1);
  // The longest way to write it has six characters a letter, and the quotes.
  if (literal.length > 32 || (literal !== '"model"' && !literal.includes("\\u006"))) return false;
  return JSON.parse(literal) === "model" && followedByColon(text, end + 1);
}

function followedByColon(text: string, from: number): boolean {
  let at = from;
  while (text[at] === " " || text[at] === "\t" || text[at] === "\n" || text[at] === "\r") at += 1;
  return text[at] === ":";
}

function describe(value: unknown): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "an array";
  return typeof value === "object" ? "an object" : `a ${typeof value}`;
}

/** Only the place: the parser's own message quotes the body, and bodies do not belong into logs. */
function whereItBroke(error: unknown): string {
  if (!(error instanceof Error)) return "";
  const position = /at position (\d+)/.exec(error.message)?.[1];
  if (position !== undefined) return `: it breaks at position ${position}`;
  return error.message.includes("end of JSON") ? ": it ends too early" : "";
}

function invalid(message: string): Failure {
  return failure("invalid_request", message);
}
