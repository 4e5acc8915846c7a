import { deepEqual, equal, match } from "node:assert/strict";
import { describe, it } from "node:test";
import type { Config } from "../config/config.ts";
import { parseConfig } from "../config/load.ts";
import { planPlacement, type PlacementPlan } from "../config/placement-plan.ts";
import { gpuCell, gpuTexts, needCell, policyText } from "./check-plan.ts";

function parsed(text: string): readonly [Config, PlacementPlan] {
  const config = parseConfig(text, "x.yaml", {});
  return [config, planPlacement(config.models, config.gpus)];
}

function gpuCells(text: string): readonly string[] {
  const [config, plan] = parsed(text);
  return config.models.map((model) => gpuCell(model, config, plan));
}

const TWO = "models: {a: {model_path: x}, b: {model_path: x}}\n";

const SIZED = `
gpus: {0: 80GiB, 1: 80GiB, 2: 80GiB}
models:
  a: {model_path: x, gpu_memory: 60GiB}
  b: {model_path: x, gpus: [1], gpu_memory: 50GiB}
  c: {model_path: x, gpus: [1], gpu_memory: 20GiB}
  d: {model_path: x, gpus: [0], gpu_memory: 30GiB}
`;

describe("the placement that a configuration comes to", () => {
  it("names who is on each GPU, and whether they fit there together", () => {
    deepEqual(gpuTexts(...parsed(SIZED)), [
      "GPU 0 (80 GiB): d",
      "GPU 1 (80 GiB): b, c; all awake at once",
      "GPU 2 (80 GiB): a",
    ]);
    const crowded = SIZED.replace("gpus: [0]", "gpus: [1]").replace(", 2: 80GiB", "");
    deepEqual(gpuTexts(...parsed(crowded)), ["GPU 0 (80 GiB): a", "GPU 1 (80 GiB): b, c, d; they take turns"]);
  });

  it("is not known before the start where no GPU has a size", () => {
    deepEqual(gpuTexts(...parsed(TWO)), ["GPUs and their memory are looked up when it starts (gpus)"]);
  });

  it("says which GPUs were chosen and which were named", () => {
    deepEqual(gpuCells(SIZED), ["2 (auto)", "1", "1", "0"]);
    deepEqual(gpuCells("models: {a: {model_path: x}, b: {model_path: x, gpus: [3]}}"), ["auto", "3"]);
  });

  it("says what a model needs as far as that is known", () => {
    const [config, plan] = parsed(`models:
  a: {model_path: x, gpu_memory: 60GiB}
  b: {model_path: x, extra_args: [--gpu-memory-utilization, 0.85]}
  c: {model_path: x}
`);
    const cells = config.models.map((model) => needCell(model, plan));
    deepEqual(cells, ["60 GiB", "85 %", "?"]);
    const [sized, sizedPlan] = parsed(
      "gpus: {0: 80GiB}\nmodels: {b: {model_path: x, extra_args: [--gpu-memory-utilization, 0.5]}}",
    );
    deepEqual(
      sized.models.map((model) => needCell(model, sizedPlan)),
      ["40 GiB"],
    );
  });
});

describe("the promise of a configuration", () => {
  it("is none, and why, where a drain has no limit or the policy is fifo", () => {
    match(
      policyText(...parsed(TWO)),
      /^switches by bounded-wait: no bound on waiting, since a model .* 1m00s gets 504$/,
    );
    match(policyText(...parsed(`policy: {policy_type: fifo}\n${TWO}`)), /^switches by fifo: .* since the policy fifo/);
  });

  it("is the request timeout where that comes first, and the bound where it does not", () => {
    const early = parsed(`policy: {drain_budget_secs: 5}\n${TWO}`);
    match(
      policyText(...early),
      /: a request that has waited 1m00s gets 504; without that nobody would wait longer than /,
    );
    const late = parsed(`policy: {drain_budget_secs: 5, request_timeout_secs: 10h}\n${TWO}`);
    match(policyText(...late), /^switches by bounded-wait: nobody waits longer than \d+m\d\ds, once all engines have/);
  });

  it("needs no bound where nobody has to leave for another", () => {
    equal(policyText(...parsed(SIZED)), "switches by bounded-wait, but never has to: no model must leave for another");
  });
});
