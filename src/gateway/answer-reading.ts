/** What the gateway makes of the headers of an answer, for the client: once for all answers that have the same. */
import type { IncomingHttpHeaders } from "node:http";
import { HeaderBlock } from "../base/header-block.ts";
import type { AnswerHeaders } from "../ports/framed-handler.ts";
import { isEventStream } from "./event-stream.ts";
import { connectionOptions, isOfTheAnswer } from "./headers.ts";
import { headerLines } from "./http1/response-head.ts";

/** Kept with the headers. */
export class AnswerReading {
  readonly isStream: boolean;
  readonly isJson: boolean;
  /** Whether the client is told when the engine says that it has answered. */
  readonly passesDate: boolean;
  readonly #passed: readonly string[];
  #lines: string | null = null;

  constructor(headers: HeaderBlock) {
    const contentType = valueOf(headers, "content-type");
    this.isStream = isEventStream(contentType);
    this.isJson = contentType?.startsWith("application/json") === true;
    const dropped = connectionOptions(valueOf(headers, "connection") ?? "");
    const passed: string[] = [];
    for (const [name, value] of headers) if (isOfTheAnswer(name) && !dropped.has(name)) passed.push(name, value);
    if (this.isStream) {
      // A proxy in front that collected the stream would make the client wait for the end of it.
      if (valueOf(headers, "cache-control") === undefined) passed.push("cache-control", "no-cache");
      if (valueOf(headers, "x-accel-buffering") === undefined) passed.push("x-accel-buffering", "no");
    }
    this.#passed = passed;
    this.passesDate = !dropped.has("date");
  }

  /** Those that the client gets, as lines. Throws for what cannot be sent. */
  get lines(): string {
    this.#lines ??= headerLines(this.#passed);
    return this.#lines;
  }
}

/** What was made of the headers before, or is made now. */
export function answerReadingOf({ headers }: AnswerHeaders): AnswerReading {
  if (headers.reading instanceof AnswerReading) return headers.reading;
  const reading = new AnswerReading(headers);
  headers.reading = reading;
  return reading;
}

/** The headers of an answer as an HTTP client tells them that knows nothing of blocks. */
export function answerHeadersOf(from: IncomingHttpHeaders): AnswerHeaders {
  const flat: string[] = [];
  const { "content-length": contentLength = null } = from;
  // Declared to be one string, and an array where the engine has sent it twice.
  const [date = null] = [from.date ?? []].flat();
  for (const [name, value] of Object.entries(from)) {
    if (name !== "date" && name !== "content-length") for (const one of [value ?? []].flat()) flat.push(name, one);
  }
  return { headers: new HeaderBlock(flat), date, contentLength };
}

/** All values of one name, joined by commas. */
function valueOf(headers: HeaderBlock, wanted: string): string | undefined {
  let values: string | undefined;
  for (const [name, value] of headers)
    if (name === wanted) values = values === undefined ? value : `${values},${value}`;
  return values;
}
