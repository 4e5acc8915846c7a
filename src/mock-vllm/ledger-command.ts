/** `mock-vllm ledger`: what the pretend machine has, who holds what, and whether anyone ever asked for too much. */
import { defaultLedgerDir, Ledger } from "./ledger.ts";
import type { DeviceState, Holding } from "./ledger-entries.ts";
import { formatBytes } from "./quantity.ts";
import { readSettings } from "./settings.ts";
import { UsageError } from "./usage-error.ts";

/** `ledger`, `ledger --json [--audit]`, `ledger reset`. */
export function ledgerCommand(words: readonly string[]): void {
  const unknown = words.find((word) => !["reset", "--json", "--audit"].includes(word));
  if (unknown !== undefined) throw new UsageError(`ledger: expected reset, --json or --audit, found "${unknown}"`);
  const settings = readSettings(new Map(), process.env);
  const dir = settings.ledgerDir ?? defaultLedgerDir();
  using ledger = Ledger.open(dir, words.includes("reset") ? {} : settings);
  if (words.includes("reset")) {
    ledger.reset();
    process.stdout.write(`${dir}: high-water marks, refusals and audit forgotten\n`);
    return;
  }
  const { devices, holdings } = ledger.snapshot();
  if (!words.includes("--json")) {
    process.stdout.write(`${dir}\n${devices.map((one) => describe(one, holdings)).join("")}`);
    return;
  }
  const audit = words.includes("--audit") ? { audit: ledger.audit() } : {};
  // Infinity is not JSON: host memory without a limit has a null total.
  process.stdout.write(`${JSON.stringify({ dir, devices, holdings, ...audit }, undefined, 2)}\n`);
}

function describe(state: DeviceState, holdings: readonly Holding[]): string {
  const name = state.device === "host" ? "host memory" : `GPU ${state.device}`;
  const total = state.totalBytes === Infinity ? "no limit" : formatBytes(state.totalBytes);
  const marks = `high water ${formatBytes(state.highWaterBytes)}, ${state.refusals} refused`;
  const holders = holdings.filter((one) => one.device === state.device);
  const lines = holders.map((one) => `  pid ${one.pid}  ${formatBytes(one.bytes)}  ${one.name}\n`);
  return `${name}: ${formatBytes(state.usedBytes)} of ${total} used, ${marks}\n${lines.join("")}`;
}
