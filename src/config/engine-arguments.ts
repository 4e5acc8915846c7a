/** What a model gives its engine beside the path: arguments and variables. Checks what would work against llmux. */

import type { Draft, DraftModel } from "./draft.ts";
import type { Finding } from "./finding.ts";
import { kindOf } from "./engine-choice-findings.ts";
import { flagOf } from "./engine-flags.ts";

/** Arguments by which an engine would listen elsewhere than llmux looks for it. */
const listeningFlags: ReadonlyMap<string, string> = new Map([
  ["--port", "llmux sets it; write the key port of the model"],
  ["--host", "llmux sets it; engines listen on loopback only"],
  ["--uds", "llmux reaches engines by their port"],
]);

/** Checks `extra_args` and `env` of every model. */
export function engineFindings(draft: Draft): Finding[] {
  const checks = [listeningFindings, joinedFindings, servedNameFindings, variableFindings];
  return (draft.models ?? []).flatMap((model) => checks.flatMap((check) => check(model)));
}

function listeningFindings(model: DraftModel): Finding[] {
  const { path, extraArgs } = model;
  // Only of a container's own program are these another's affair.
  if (kindOf(model) === "command") return [];
  return extraArgs.flatMap((argument, index) => {
    const flag = flagOf(argument ?? "");
    const reason = listeningFlags.get(flag ?? "");
    if (flag === undefined || reason === undefined) return [];
    const message = `expected no argument that says where the engine listens, found ${flag}: ${reason}`;
    return [{ severity: "error" as const, path: [...path, "extra_args", index], message }];
  });
}

/** A flag and its value in one item reach the engine as one argument, which it does not know. */
function joinedFindings({ path, extraArgs }: DraftModel): Finding[] {
  return extraArgs.flatMap((argument, index) => {
    const [, flag, value] = /^(--[^\s=]+)\s+(\S.*)$/s.exec(argument ?? "") ?? [];
    if (flag === undefined || value === undefined) return [];
    const message = `expected one argument in each item, found ${flag} and its value in one; write [${flag}, ${value}]`;
    return [{ severity: "warning" as const, path: [...path, "extra_args", index], message }];
  });
}

/** An engine refuses names that it was not told to serve, and those are what llmux passes on. */
function servedNameFindings(model: DraftModel): Finding[] {
  if (kindOf(model) !== "vllm") return [];
  const { name, path, aliases, upstreamModel, extraArgs } = model;
  const index = extraArgs.findLastIndex((argument) => flagOf(argument ?? "") === "--served-model-name");
  if (index === -1) return [];
  const served = servedNames(extraArgs, index);
  const passedOn = upstreamModel === undefined ? [name, ...aliases] : [upstreamModel];
  const missing = passedOn.filter((wanted) => wanted !== undefined && !served.has(wanted));
  if (missing.length === 0) return [];
  const message =
    `expected --served-model-name to list ${upstreamModel === undefined ? "the model's name and its aliases" : "upstream_model"}, found that ${missing.join(", ")} ` +
    `${missing.length === 1 ? "is" : "are"} missing; the engine will refuse requests under ${missing.length === 1 ? "it" : "them"}`;
  return [{ severity: "warning", path: [...path, "extra_args", index], message }];
}

function servedNames(extraArgs: readonly (string | undefined)[], index: number): ReadonlySet<string> {
  const inline = /^[^=]+=(.*)$/s.exec(extraArgs[index] ?? "")?.[1];
  if (inline !== undefined) return new Set([inline]);
  const following = extraArgs.slice(index + 1);
  const end = following.findIndex((argument) => argument?.startsWith("-"));
  const names = end === -1 ? following : following.slice(0, end);
  return new Set(names.filter((served) => served !== undefined));
}

function variableFindings({ path, env }: DraftModel): Finding[] {
  return Object.keys(env).flatMap((name) => {
    // Nothing but trouble comes of a key that objects have a meaning of their own for.
    if (/^[A-Za-z_][A-Za-z0-9_]*$/.test(name) && name !== "__proto__") return [];
    const message = `expected the name of a variable (letters, digits and _), found ${JSON.stringify(name)}`;
    return [{ severity: "error" as const, path: [...path, "env", name], onKey: true, message }];
  });
}
