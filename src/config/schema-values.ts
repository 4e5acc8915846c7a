/**
 * The kinds of values that a configuration file is made of. By convention the `error` of every value here is not a sentence but a
 * phrase that says what is expected ("a port between 1 and 65535"); the sentence around it is made in one place, `problemsOf`.
 */

import { z } from "zod";
import { durationMsMax, formatDuration, parseDuration, secondsToMs } from "../base/duration.ts";
import { parseByteSize } from "./byte-size.ts";

/** The largest port there is. */
export const portMax = 65_535;

const durationPhrase =
  `a duration of at most ${formatDuration(durationMsMax)}: a number of seconds such as 30 or 0.5, ` +
  "or a text such as 500ms, 30s, 5m, 1h30m";

/** A number of seconds or a text with units in the file; whole milliseconds afterwards. */
export const duration = z
  .union([z.number().meta({ minimum: 0 }), z.string().meta({ examples: ["500ms", "30s", "5m", "1h30m"] })], {
    error: durationPhrase,
  })
  .transform((value, context) => {
    const ms = typeof value === "number" ? secondsToMs(value) : parseDuration(value);
    if (ms !== undefined) return ms;
    context.addIssue({ code: "custom", message: durationPhrase });
    return z.NEVER;
  });

const sharePhrase = "a share between 0 and 1";
/** A share, 0 to 1. */
export const share = z.number({ error: sharePhrase }).min(0, { error: sharePhrase }).max(1, { error: sharePhrase });

const bytesPhrase = "a size: a number of bytes, at least 1, or a text such as 512KiB, 64MiB, 1GiB";

/** A number of bytes or a text with a unit in the file; whole bytes afterwards. */
export const byteSize = z
  .union([z.int().meta({ minimum: 1 }), z.string().meta({ examples: ["512KiB", "64MiB"] })], { error: bytesPhrase })
  .transform((value, context) => {
    const bytes = typeof value === "number" ? value : parseByteSize(value);
    if (bytes !== undefined && bytes >= 1) return bytes;
    context.addIssue({ code: "custom", message: bytesPhrase });
    return z.NEVER;
  });

const memoryPhrase = "a size with a unit such as 20GiB";

/** A text with a unit in the file, for nobody means 20 bytes of memory; whole bytes afterwards. */
export const memorySize = z
  .string({ error: memoryPhrase })
  .meta({ examples: ["20GiB", "512MiB"], pattern: "^\\d+(\\.\\d+)? ?([kKmMgGtT][iI]?)?[bB]$" })
  .transform((value, context) => {
    const bytes = parseByteSize(value);
    if (bytes !== undefined && bytes >= 1) return bytes;
    context.addIssue({ code: "custom", message: memoryPhrase });
    return z.NEVER;
  });

const requestsPhrase = "a whole number of requests, at least 1";

/** How many requests there may be. */
export const requestCount = z.int({ error: requestsPhrase }).min(1, { error: requestsPhrase });

/** A text that may become an argument, a path or a variable: not empty, and without the NUL that no process can be given. */
export function text(phrase: string) {
  return z.string({ error: phrase }).min(1, { error: phrase, abort: true }).refine(hasNoNul, { error: phrase });
}

function hasNoNul(value: string): boolean {
  return !value.includes("\0");
}

/** A port from `min` on. */
export function port(phrase: string, min: 0 | 1) {
  return z.int({ error: phrase }).min(min, { error: phrase }).max(portMax, { error: phrase });
}

/** What is expected of most ports. */
export const portPhrase = `a port between 1 and ${portMax}`;

/** A program, or a list of a program and its leading arguments. A text is one program: it is not split at spaces. */
export function command(phrase: string) {
  return z.union([text(phrase), z.array(text(phrase), { error: phrase }).min(1, { error: phrase })], { error: phrase });
}

/** A value that becomes an argument or a variable: what looks like a number or a boolean is taken as it is written. */
export function word(phrase: string) {
  return z
    .union([z.string(), z.number(), z.boolean()], { error: phrase })
    .transform(String)
    .refine(hasNoNul, { error: phrase });
}

/** The sleep levels, deepest last. */
export const sleepLevel = z.literal([1, 2, 3], {
  error: "1 (weights in host RAM), 2 (weights discarded) or 3 (engine stopped)",
});

/** How the ids of GPUs are written, as a regular expression. */
export const gpuIdPattern = "^(0|[1-9]\\d{0,3})$";

/** Nothing but YAML's own `true` and `false`. */
export const trueOrFalse = z.boolean({ error: "true or false" });

/** The phrase for what is no mapping. */
export const mapping = "a mapping of keys to values";
