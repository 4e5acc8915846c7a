/** What switches have cost in a run before the test, as llmux would have written it down. */
import { mkdirSync, writeFileSync } from "node:fs";
import { switchCostFile } from "../../../src/base/state-files.ts";
import type { SwitchCostEntry } from "../../../src/core/switch-cost.ts";

/** By model: how long it takes to come up, whoever has to leave for it, in ms. */
export type Costs = Readonly<Record<string, { readonly startMs: number; readonly wakeMs: number }>>;

/** Writes the file that llmux reads at its start; nothing without costs. */
export function writeCosts(stateDir: string, costs: Costs = {}): void {
  const entries = Object.entries(costs).flatMap(([to, { startMs, wakeMs }]): SwitchCostEntry[] => [
    { from: "idle", to, level: 3, costMs: startMs },
    { from: "idle", to, level: 1, costMs: wakeMs },
    { from: "idle", to, level: 2, costMs: wakeMs },
  ]);
  if (entries.length === 0) return;
  mkdirSync(stateDir, { recursive: true, mode: 0o700 });
  writeFileSync(switchCostFile(stateDir), JSON.stringify({ version: 1, costs: entries }), { mode: 0o600 });
}
