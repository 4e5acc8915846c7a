/** Names of models: what may be one, and that each means one model only. */

import type { Draft } from "./draft.ts";
import type { Finding } from "./finding.ts";

/** Longest name of a model, in UTF-16 units; names become parts of file names and labels. */
const nameLengthMax = 128;

/** Checks the names and aliases of all models; says so too if there is no model. */
export function nameFindings(draft: Draft): Finding[] {
  if (draft.models === undefined) return [];
  if (draft.models.length === 0) {
    return [{ severity: "error", path: ["models"], message: "expected at least one model, found none" }];
  }
  const findings: Finding[] = [];
  const models = new Set(draft.models.map((model) => model.name));
  const aliasOwner = new Map<string, string>();
  for (const { name, path, aliases, upstreamModel } of draft.models) {
    const fault = nameFault(name);
    if (fault !== undefined) findings.push({ severity: "error", path, onKey: true, message: fault });
    const upstreamFault = upstreamModel === undefined ? undefined : nameFault(upstreamModel);
    if (upstreamFault !== undefined) {
      findings.push({ severity: "error", path: [...path, "upstream_model"], message: upstreamFault });
    }
    for (const [index, alias] of aliases.entries()) {
      if (alias === undefined) continue;
      const message = nameFault(alias) ?? aliasFault(alias, models, aliasOwner.get(alias));
      if (message !== undefined) findings.push({ severity: "error", path: [...path, "aliases", index], message });
      aliasOwner.set(alias, name);
    }
  }
  return findings;
}

function aliasFault(alias: string, models: ReadonlySet<string>, owner: string | undefined): string | undefined {
  const shown = JSON.stringify(alias);
  if (models.has(alias)) return `expected a name that no model has, found ${shown}, which is a model`;
  if (owner !== undefined) {
    return `expected each alias once, found ${shown}, already an alias of ${JSON.stringify(owner)}`;
  }
  return undefined;
}

function nameFault(name: string): string | undefined {
  const expected = "expected a model name without spaces and control characters";
  if (name === "") return `${expected}, found an empty one`;
  if (/[\s\p{Z}\p{C}]/u.test(name)) return `${expected}, found ${JSON.stringify(name)}`;
  if (name.length > nameLengthMax) {
    return `expected a model name of at most ${nameLengthMax} characters, found ${name.length}`;
  }
  // These mean something else where a name is part of an address, and where it is the key of an object.
  if (name === "." || name === ".." || name === "__proto__") {
    return `expected a model name that is no reserved word, found ${JSON.stringify(name)}`;
  }
  return undefined;
}
