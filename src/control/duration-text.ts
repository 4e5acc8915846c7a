/** Durations for people's eyes: rounded, with at most two units. */

/** Writes a duration in ms: `0.4ms`, `12ms`, `1.2s`, `3m12s`, `5h04m`, `2d3h`. */
export function duration(ms: number): string {
  if (!Number.isFinite(ms)) return "?";
  if (ms < 0) return `-${duration(-ms)}`;
  if (ms < 9.95) return `${tenths(ms)}ms`;
  if (ms < 999.5) return `${Math.round(ms)}ms`;
  if (ms < 59_950) return `${tenths(ms / 1000)}s`;
  const seconds = Math.round(ms / 1000);
  const [days, hours, minutes] = [Math.floor(seconds / 86_400), Math.floor(seconds / 3_600), Math.floor(seconds / 60)];
  if (days > 0) return `${days}d${hours % 24}h`;
  if (hours > 0) return `${hours}h${two(minutes % 60)}m`;
  return `${minutes}m${two(seconds % 60)}s`;
}

function tenths(value: number): string {
  return String(Math.round(value * 10) / 10);
}

function two(value: number): string {
  return String(value).padStart(2, "0");
}
