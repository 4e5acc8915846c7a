/** How fast the simulation runs the scheduler under virtual time: its own figure, and whether a rule broke. */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { Report } from "./report.ts";

const SIMULATION = fileURLToPath(new URL("../sim/main.ts", import.meta.url));
const SEEDS = 1_000;
const LIMIT_MS = 10 * 60_000;

/** Runs a thousand seeds. Throws when the simulation does not say how fast it was. */
export function simulationSpeed(): Promise<Report> {
  const options = { encoding: "utf8", timeout: LIMIT_MS } as const;
  const { stdout, stderr, status } = spawnSync(process.execPath, [SIMULATION, "--seeds", String(SEEDS)], options);
  const speed = /([\d,]+) x real time/.exec(stdout)?.[1];
  if (speed === undefined) throw new Error(`the simulation said nothing of its speed:\n${stdout}${stderr}`);
  const timesRealTime = Number(speed.replaceAll(",", ""));
  return Promise.resolve({
    tables: [{ title: "simulation", columns: ["seeds", "times real time"], rows: [[SEEDS, timesRealTime]] }],
    checks: [
      { what: "simulation", measured: timesRealTime, bound: "at least", target: 50_000, unit: "x real time" },
      { what: "runs of it that failed", measured: status === 0 ? 0 : 1, bound: "at most", target: 0, unit: "" },
    ],
    notes: stdout.trim().split("\n").slice(-2),
  });
}
