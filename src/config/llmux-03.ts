/**
 * Files written for llmux 0.3.0. Such a file loads unchanged and means what it meant there, in the few places where the same keys
 * now have another default or are no longer known; each of these is said in a warning.
 *
 * What 0.3.0 did, and what is done here:
 * - a model without `sleep_level` was stopped (3); `policy.sleep_level` was read but never used. The same here. In other files
 *   such a model takes the policy's level.
 * - any `policy_type` ran fifo; its documentation named "fifo" and "batching". Here "batching" is taken as fifo. A file that names
 *   none gets today's default: it asked for nothing in particular.
 * - unknown keys were ignored, and its own example has three that an earlier version knew. Those are ignored, others are errors.
 * - engines listened wherever `--host` in `extra_args` said. Here they listen on loopback, and the argument is left out.
 * - the gateway listened on all addresses. This is the one thing that is not kept: here it is loopback until `host` is given.
 */

import type { KeyPath } from "./document.ts";
import { mappingOf } from "./draft.ts";
import type { Finding } from "./finding.ts";
import { flagOf } from "./engine-flags.ts";

const topKeys = new Set(["models", "policy", "port", "metrics_port", "vllm_command"]);
const policyKeys = new Set([
  "policy_type",
  "request_timeout_secs",
  "drain_before_switch",
  "sleep_level",
  "min_active_secs",
]);
const modelKeys = new Set(["model_path", "port", "extra_args", "sleep_level"]);
const ignoredModelKeys = new Set(["gpu_memory_utilization", "tensor_parallel_size", "dtype"]);

/** A file of 0.3.0 in today's words, and what was changed for it. */
export interface Adopted {
  readonly value: unknown;
  readonly findings: readonly Finding[];
}

/**
 * If `text` is a file that llmux 0.3.0 would have taken in full (JSON, no key that is newer, a port for every model), returns
 * `value`, its content, in today's words; else `value` as it is.
 * `hostIsChosen` says that the host does not come from the file, so that nobody needs to be warned about it.
 */
export function adoptLlmux03(text: string, value: unknown, hostIsChosen: boolean): Adopted {
  const file = mappingOf(value);
  const models = mappingOf(file?.["models"]);
  if (file === undefined || models === undefined || !isJson(text) || !isLlmux03(file, models)) {
    return { value, findings: [] };
  }
  const findings: Finding[] = [];
  if (!hostIsChosen) {
    const message = "llmux 0.3.0 listened on all addresses; without the key host, llmux listens on 127.0.0.1 only";
    findings.push(warning(["models"], message, true));
  }
  const adoptedModels = Object.entries(models).map(([name, model]) => {
    return [name, adoptModel(["models", name], mappingOf(model) ?? {}, findings)] as const;
  });
  const policy = adoptPolicy(mappingOf(file["policy"]) ?? {}, findings);
  return { value: { ...file, policy, models: Object.fromEntries(adoptedModels) }, findings };
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

function isLlmux03(file: Readonly<Record<string, unknown>>, models: Readonly<Record<string, unknown>>): boolean {
  const policy = file["policy"] === undefined ? {} : mappingOf(file["policy"]);
  if (policy === undefined || !hasOnly(file, topKeys) || !hasOnly(policy, policyKeys)) return false;
  const known = new Set([...modelKeys, ...ignoredModelKeys]);
  return Object.values(models).every((value) => {
    const model = mappingOf(value);
    return model !== undefined && "port" in model && hasOnly(model, known);
  });
}

function hasOnly(mapping: Readonly<Record<string, unknown>>, keys: ReadonlySet<string>): boolean {
  return Object.keys(mapping).every((key) => keys.has(key));
}

function adoptPolicy(
  policy: Readonly<Record<string, unknown>>,
  findings: Finding[],
): Readonly<Record<string, unknown>> {
  if (policy["policy_type"] !== "batching") return policy;
  findings.push(
    warning(["policy", "policy_type"], 'llmux 0.3.0 ran fifo under the name "batching", and so does llmux'),
  );
  return { ...policy, policy_type: "fifo" };
}

function adoptModel(
  path: KeyPath,
  model: Readonly<Record<string, unknown>>,
  findings: Finding[],
): Readonly<Record<string, unknown>> {
  const kept = Object.entries(model).filter(([key]) => {
    if (!ignoredModelKeys.has(key)) return true;
    const flag = `--${key.replaceAll("_", "-")}`;
    findings.push(
      warning([...path, key], `llmux 0.3.0 ignored this key, and so does llmux; write ${flag} in extra_args`, true),
    );
    return false;
  });
  const adopted: Record<string, unknown> = Object.fromEntries(kept);
  if (Array.isArray(adopted["extra_args"])) {
    adopted["extra_args"] = withoutHost(adopted["extra_args"], [...path, "extra_args"], findings);
  }
  if (!("sleep_level" in adopted)) {
    adopted["sleep_level"] = 3;
    findings.push(
      warning(
        path,
        "no sleep_level: as in llmux 0.3.0 its engine is stopped (3) to make room; write a sleep_level to choose",
        true,
      ),
    );
  }
  return adopted;
}

function withoutHost(extraArgs: readonly unknown[], path: KeyPath, findings: Finding[]): readonly unknown[] {
  const index = extraArgs.findIndex((argument) => typeof argument === "string" && flagOf(argument) === "--host");
  if (index === -1) return extraArgs;
  findings.push(warning([...path, index], "--host is left out: llmux has its engines listen on loopback only"));
  const length = String(extraArgs[index]).includes("=") ? 1 : 2;
  return extraArgs.toSpliced(index, length);
}

function warning(path: KeyPath, message: string, onKey = false): Finding {
  return { severity: "warning", path, message, onKey };
}
