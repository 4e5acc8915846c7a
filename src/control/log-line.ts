/** One event as a line for people: time of day, level, what happened, and the facts. */
import type { LogFields } from "../ports/log.ts";
import { duration } from "./duration-text.ts";

const COLOURS: Readonly<Record<string, string>> = { debug: "90", info: "32", warn: "33", error: "31" };

/** Fields that are lists of output lines; they follow below the event, each on a line of its own. */
const OUTPUT_FIELD = "last_output";

/** Writes an event (`level`, `time`, `event` and its facts) as a line with its end; nothing in it can control the terminal. */
export function readableLine(fields: LogFields, colour: boolean): string {
  const { level, time, event, [OUTPUT_FIELD]: output, ...facts } = fields;
  const paint = (code: string, text: string): string => (colour ? `\u001b[${code}m${text}\u001b[0m` : text);
  const levelText = String(level);
  const parts = [
    paint("90", timeOfDay(time)),
    paint(COLOURS[levelText] ?? "0", levelText.padEnd(5)),
    paint("1", printable(String(event))),
    ...Object.entries(facts)
      .filter(([, value]) => value !== undefined && value !== null)
      .map(([name, value]) => `${paint("90", `${factName(name)}=`)}${factValue(name, value)}`),
  ];
  const below = Array.isArray(output) ? output.map((line) => `\n    ${paint("90", printable(String(line)))}`) : [];
  return `${parts.join(" ")}${below.join("")}\n`;
}

/** Local time, to the millisecond. */
function timeOfDay(time: unknown): string {
  const date = new Date(String(time));
  if (Number.isNaN(date.getTime())) return printable(String(time));
  const clock = [date.getHours(), date.getMinutes(), date.getSeconds()].map((part) => String(part).padStart(2, "0"));
  return `${clock.join(":")}.${String(date.getMilliseconds()).padStart(3, "0")}`;
}

/** The unit goes from the name to the value. */
function factName(name: string): string {
  return printable(name.replace(/_ms$/, ""));
}

function factValue(name: string, value: unknown): string {
  if (typeof value === "number") return name.endsWith("_ms") ? duration(value) : String(value);
  if (Array.isArray(value)) return value.length === 0 ? "none" : value.map((item) => factValue("", item)).join(",");
  if (typeof value === "object" && value !== null) return printable(JSON.stringify(value));
  const text = printable(String(value));
  return text !== "" && /^[^\s"=]+$/.test(text) ? text : JSON.stringify(text);
}

/** Control characters, and those that turn the direction of writing, become visible. */
function printable(text: string): string {
  return text.replaceAll(/[\p{Cc}\p{Cf}\p{Cs}\p{Co}\u2028\u2029]/gu, (character) => {
    if (character === "\n" || character === "\t") return " ";
    return `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`;
  });
}
