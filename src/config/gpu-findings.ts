/** GPUs as they are written: ids that are ids, each once, and as many for a model as its parallelism asks for. */

import type { Draft, DraftModel } from "./draft.ts";
import { kindOf } from "./engine-choice-findings.ts";
import { flagOf, gpusAtOnceIn } from "./engine-flags.ts";
import type { Finding } from "./finding.ts";
import { gpuIdPattern } from "./schema-values.ts";

/** Checks both keys `gpus`, the one for all and that of each model; what fits where is for the placement plan. */
export function gpuFindings(draft: Draft): Finding[] {
  return [...sizedGpuFindings(draft), ...(draft.models ?? []).flatMap(modelGpuFindings)];
}

function sizedGpuFindings({ gpus }: Draft): Finding[] {
  if (gpus === undefined) return [];
  const ids = Object.keys(gpus);
  if (ids.length === 0) {
    return [{ severity: "error", path: ["gpus"], message: "expected at least one GPU, found none" }];
  }
  return ids.flatMap((id) => {
    if (new RegExp(gpuIdPattern).test(id)) return [];
    const message = `expected the id of a GPU: 0, 1, 2, …, found ${JSON.stringify(id)}`;
    return [{ severity: "error" as const, path: ["gpus", id], onKey: true, message }];
  });
}

function modelGpuFindings(model: DraftModel): Finding[] {
  const { path, gpus, extraArgs } = model;
  const twice = gpus.flatMap((gpu, index): Finding[] => {
    if (typeof gpu !== "number" || gpus.indexOf(gpu) === index) return [];
    const message = `expected each GPU once, found ${gpu} twice`;
    return [{ severity: "error", path: [...path, "gpus", index], message }];
  });
  const kind = kindOf(model);
  // Others use whichever they are shown.
  if (kind !== "vllm" && kind !== "sglang") return twice;
  const size =
    gpusAtOnceIn(
      kind,
      extraArgs.map((argument) => argument ?? ""),
    ) ?? 1;
  // A file of the engine's own may ask for more than its arguments do.
  const mayAskElsewhere = extraArgs.some((argument) => flagOf(argument ?? "") === "--config");
  if (twice.length > 0 || gpus.length === 0 || gpus.length === size) return twice;
  if (gpus.length > size && mayAskElsewhere) return [];
  const asks = `as many GPUs as extra_args ask for, ${size} (tensor × pipeline × data parallelism)`;
  const message =
    gpus.length < size
      ? `expected ${asks}, found ${gpus.length}`
      : `expected ${asks}, found ${gpus.length}: its engine leaves the last of them idle, and llmux keeps others away from them`;
  return [{ severity: gpus.length < size ? "error" : "warning", path: [...path, "gpus"], message }];
}
