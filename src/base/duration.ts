/** Durations as people write them (`1h30m`, `500ms`) and as the program counts them (whole milliseconds). */

/**
 * The longest duration that is taken, in ms: 24 days. A timer of Node that is set to more than 2^31 - 1 ms (20 hours later) fires
 * at once, which would turn "practically never" into "now".
 */
export const durationMsMax = 24 * 24 * 3_600_000;

const form = /^(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s)?(?:(\d+(?:\.\d+)?)ms)?$/;

/**
 * Reads `500ms`, `30s`, `5m`, `1h`, `1h30m`, `1.5s` into whole milliseconds. Each unit at most once, the larger first.
 * Returns undefined for anything else, and for what is longer than `durationMsMax`.
 */
export function parseDuration(text: string): number | undefined {
  const match = form.exec(text);
  if (match === null || text === "") return undefined;
  const [, hours = "0", minutes = "0", seconds = "0", millis = "0"] = match;
  return withinLimit(Number(hours) * 3_600_000 + Number(minutes) * 60_000 + Number(seconds) * 1000 + Number(millis));
}

/** Turns a number of seconds (fractions allowed) into whole milliseconds; undefined if it is negative, not finite or too long. */
export function secondsToMs(seconds: number): number | undefined {
  return withinLimit(seconds * 1000);
}

/** Writes whole milliseconds the way `parseDuration` reads them, with the fewest units that lose nothing: `90000` is `1m30s`. */
export function formatDuration(ms: number): string {
  const parts: readonly (readonly [number, string])[] = [
    [Math.floor(ms / 3_600_000), "h"],
    [Math.floor(ms / 60_000) % 60, "m"],
    [Math.floor(ms / 1000) % 60, "s"],
    [ms % 1000, "ms"],
  ];
  const text = parts
    .filter(([count]) => count > 0)
    .map(([count, unit]) => `${count}${unit}`)
    .join("");
  return text === "" ? "0s" : text;
}

function withinLimit(ms: number): number | undefined {
  const whole = Math.round(ms);
  return whole >= 0 && whole <= durationMsMax ? Math.abs(whole) : undefined;
}
