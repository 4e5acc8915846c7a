/** How long `llmux simulate` takes for a whole day of requests: the program, from its start to its end. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { BenchOptions } from "./options.ts";
import { DRAIN_BUDGET, FIFO, FULL_DRAIN, type PolicySetup } from "./policy-setups.ts";
import type { Check, Report } from "./report.ts";
import { engineFigures, readWholeTrace } from "./traces.ts";

const LLMUX = fileURLToPath(new URL("../bin/llmux.js", import.meta.url));

const TARGET_S = 20;

/** Plays all of a trace on one GPU and on five. Needs the trace of five models. */
export async function simulatedDay({ servegen }: BenchOptions): Promise<Report> {
  if (servegen === undefined) throw new Error("simulated-day needs --servegen FILE");
  const { rows, models } = await readWholeTrace(servegen);
  const table: (string | number)[][] = [];
  const checks: Check[] = [];
  for (const gpus of [1, models.length]) {
    for (const setup of [FIFO, FULL_DRAIN, DRAIN_BUDGET]) {
      const { tookS, goodput } = simulate(setup, servegen, models, gpus);
      table.push([gpus, setup.name, tookS, goodput]);
      const what = `${gpus === 1 ? "one GPU" : `${gpus} GPUs`}, ${setup.name}`;
      checks.push({ what, measured: tookS, bound: "at most", target: TARGET_S, unit: "s" });
    }
  }
  const hours = ((rows.at(-1)?.timestampS ?? 0) / 3_600).toFixed(1);
  const title = `${hours} hours of ${rows.length.toLocaleString("en")} requests`;
  return { tables: [{ title, columns: ["GPUs", "policy", "s", "goodput"], rows: table }], checks, notes: [] };
}

function simulate(
  { policy, ofModels }: PolicySetup,
  trace: string,
  models: readonly string[],
  gpus: number,
): { readonly tookS: number; readonly goodput: number } {
  const folder = mkdtempSync(join(tmpdir(), "llmux-bench-"));
  try {
    const config = join(folder, "llmux.json");
    const entries = Array.from(engineFigures(models), ([name, figures], index) => {
      return [name, { model_path: `bench/${name}`, gpus: [index % gpus], simulate: figures, ...ofModels }] as const;
    });
    writeFileSync(config, JSON.stringify({ policy, models: Object.fromEntries(entries) }));
    const args = [LLMUX, "simulate", "--trace", trace, "--config", config, "--json"];
    const beganAtMs = performance.now();
    const { stdout, stderr, status } = spawnSync(process.execPath, args, { encoding: "utf8" });
    const tookS = (performance.now() - beganAtMs) / 1000;
    if (status !== 0) throw new Error(stderr);
    return { tookS, goodput: 100 * (JSON.parse(stdout) as { goodput: number }).goodput };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
