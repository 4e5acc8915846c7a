/** API keys: each has a name and a hash of its own, and the models that it is limited to exist. */

import { suggest } from "../base/suggest.ts";
import { type Draft, mappingOf } from "./draft.ts";
import type { Finding } from "./finding.ts";

/** Checks what the schema cannot: the keys against each other and against the models. */
export function keyFindings(draft: Draft): Finding[] {
  const findings: Finding[] = [];
  const names = new Map<unknown, number>();
  const hashes = new Map<unknown, number>();
  const models = new Set((draft.models ?? []).flatMap(({ name, aliases }) => aliases.concat(name)));
  for (const [index, value] of draft.apiKeys.entries()) {
    const key = mappingOf(value);
    if (key === undefined) continue;
    const report = (place: readonly (string | number)[], message: string): void => {
      findings.push({ severity: "error", path: ["api_keys", index, ...place], message });
    };
    const { name, hash } = key;
    const namesake = names.get(name);
    if (typeof name === "string" && namesake !== undefined) {
      report(
        ["name"],
        `expected a name that no other key has, found ${JSON.stringify(name)}, which api_keys[${namesake}] has`,
      );
    } else names.set(name, index);
    const twin = hashes.get(hash);
    if (typeof hash === "string" && twin !== undefined) {
      report(["hash"], `expected the hash of another key, found that of api_keys[${twin}]`);
    } else hashes.set(hash, index);
    if (!Array.isArray(key["models"]) || draft.models === undefined) continue;
    for (const [place, model] of key["models"].entries()) {
      if (typeof model !== "string" || models.has(model)) continue;
      const near = suggest(
        model,
        [...models].filter((known) => known !== undefined),
      );
      const hint = near === undefined ? "" : `; did you mean ${JSON.stringify(near)}?`;
      report(["models", place], `expected the name or alias of a model, found ${JSON.stringify(model)}${hint}`);
    }
  }
  return findings;
}
