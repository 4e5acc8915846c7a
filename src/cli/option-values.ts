/** What options of the command line take, read from their text. All throw `InvalidArgumentError` with what was expected. */
import { InvalidArgumentError } from "commander";
import type { SleepLevel } from "../core/sleep-level.ts";

/** Sleep levels with commas between: `1,2`. */
export function sleepLevels(text: string): SleepLevel[] {
  return text.split(",").map((part) => {
    const level = Number(part);
    if (level !== 1 && level !== 2 && level !== 3) {
      throw new InvalidArgumentError(`Expected 1, 2 or 3, or several of them with commas between, found "${part}".`);
    }
    return level;
  });
}

/** A TCP port. */
export function port(text: string): number {
  const value = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (value < 1 || value > 65_535) throw new InvalidArgumentError("Expected a port between 1 and 65535.");
  return value;
}

/** A number of seconds, ≥ 0. */
export function seconds(text: string): number {
  if (!/^\d+(\.\d+)?$/.test(text)) throw new InvalidArgumentError("Expected a number of seconds, without a unit.");
  return Number(text);
}

/** A share above 0, at most 1: `0.3` or `30%`. */
export function shareOf(text: string): number {
  const [, digits = "", percent] = /^(\d+(?:\.\d+)?)(%)?$/.exec(text) ?? [];
  const value = digits === "" ? 0 : Number(digits) / (percent === undefined ? 1 : 100);
  if (value <= 0 || value > 1)
    throw new InvalidArgumentError("Expected a share such as 0.3 or 30%, more than 0, at most 1.");
  return value;
}

/** A whole number, ≥ 0. */
export function wholeNumber(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new InvalidArgumentError("Expected a whole number.");
  return Number(text);
}

/** A number of lines, ≥ 0. */
export function lineCount(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new InvalidArgumentError("Expected a number of lines: 0 or more, without a unit.");
  return Number(text);
}
