/** The mapping `gpus`: ids that are ids, and at least one. */

import type { Draft, Finding } from "./draft.ts";
import { gpuIdPattern } from "./schema-values.ts";

/** Checks the keys of `gpus`; what the sizes amount to is for the placement plan. */
export function gpuFindings({ gpus }: Draft): Finding[] {
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
