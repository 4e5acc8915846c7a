/** `CUDA_VISIBLE_DEVICES` in a model's `env`: another way to say which GPUs its engine uses, and one that the engine obeys. */

import type { Draft } from "./draft.ts";
import type { Finding } from "./finding.ts";

const variable = "CUDA_VISIBLE_DEVICES";

/** The GPUs that a model's variables name by id; null if they name none, or name them in another way. */
export function gpusInVariables(env: Readonly<Record<string, string>>): readonly number[] | null {
  return idsIn(env[variable]);
}

/** Warns where the variable names other GPUs than the key `gpus`, or names them in a way that says nothing to llmux. */
export function visibleDevicesFindings(draft: Draft): Finding[] {
  return (draft.models ?? []).flatMap(({ path, gpus, env }): Finding[] => {
    const text = Object.hasOwn(env, variable) ? env[variable] : undefined;
    // Without a GPU in sight it runs on the CPU, and means to.
    if (typeof text !== "string" || text === "" || text === "-1") return [];
    const ids = idsIn(text);
    const told = gpus.length === 0 ? ids : gpus;
    if (ids !== null && told?.join() === ids.join()) return [];
    const expected = gpus.length === 0 ? "ids such as 0,1" : `the GPUs of the key gpus, ${gpus.join(",")}`;
    const message =
      `expected ${expected}, found ${JSON.stringify(text)}: the engine obeys the variable, ` +
      "and llmux counts its memory on other GPUs; write the key gpus instead of it";
    return [{ severity: "warning", path: [...path, "env", variable], message }];
  });
}

function idsIn(text: string | undefined): readonly number[] | null {
  if (text === undefined || !/^\d{1,4}(,\d{1,4})*$/.test(text)) return null;
  const ids = text.split(",").map(Number);
  return new Set(ids).size === ids.length ? ids : null;
}
