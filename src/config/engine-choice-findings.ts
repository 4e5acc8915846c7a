/** What a model's engine cannot do, or cannot do without, although each of its keys is right by itself. */

import { splitCommandLine } from "./command-line.ts";
import { type Draft, type DraftModel, mappingOf } from "./draft.ts";
import { engineUrl, engineUrlPhrase } from "./engine-schema.ts";
import type { Environment } from "./environment.ts";
import type { Finding } from "./finding.ts";
import { whyNoSleep } from "./sleep-ability.ts";

/** Checks the engine of every model; `env` has the variables that API keys are taken from. */
export function engineChoiceFindings(draft: Draft, env: Environment): Finding[] {
  const checks = [pathFindings, gpuFindings, abilityFindings, customFindings];
  return (draft.models ?? []).flatMap((model) => checks.flatMap((check) => check(model, kindOf(model), env)));
}

/** The kind as far as it can be told; vLLM where nothing is said, and where what is said is wrong. */
export function kindOf({ engine }: DraftModel): string {
  if (typeof engine === "string") return engine;
  return Object.keys(mappingOf(engine) ?? {})[0] ?? "vllm";
}

/** The parts of a `command` or an `external`. */
function partsOf({ engine }: DraftModel, kind: string): Readonly<Record<string, unknown>> {
  return mappingOf(mappingOf(engine)?.[kind]) ?? {};
}

function isCustom(kind: string): boolean {
  return kind === "command" || kind === "external";
}

function pathFindings({ path, hasModelPath }: DraftModel, kind: string): Finding[] {
  if (hasModelPath || isCustom(kind)) return [];
  const message = "expected a Hugging Face id or a path, as text, found nothing";
  return [{ severity: "error", path: [...path, "model_path"], message }];
}

function gpuFindings({ path, hasNoGpus }: DraftModel, kind: string): Finding[] {
  if (hasNoGpus && (kind === "vllm" || kind === "sglang")) {
    const message = "expected a list of at least one GPU id, such as [0], found a list of 0";
    return [{ severity: "error", path: [...path, "gpus"], message }];
  }
  return [];
}

/** Whether the engine can sleep as it is told to, and suspend. */
function abilityFindings(model: DraftModel, kind: string): Finding[] {
  const { path, sleepLevel, suspend, sleepModeFlag } = model;
  const { sleep, wake } = partsOf(model, kind);
  const hasOrders = (sleep ?? null) !== null && (wake ?? null) !== null;
  const cannot = whyNoSleep({ kind, sleepModeFlag: sleepModeFlag !== false, hasOrders });
  const findings: Finding[] = [];
  if (cannot !== null && (sleepLevel === 1 || sleepLevel === 2)) {
    const message = `expected 3 (engine stopped), or nothing, found ${sleepLevel}: ${cannot}`;
    findings.push({ severity: "error", path: [...path, "sleep_level"], message });
  }
  if (kind === "sglang" && cannot === null && sleepLevel === 2) {
    const message =
      "expected 1 or 3, found 2: SGLang has no way to discard its weights and to read them again that llmux knows of";
    findings.push({ severity: "error", path: [...path, "sleep_level"], message });
  }
  if (suspend === true && kind !== "vllm") {
    const message = `expected false, found true: only vLLM can fall asleep while requests run`;
    findings.push({ severity: "error", path: [...path, "suspend"], message });
  }
  return findings;
}

function customFindings(model: DraftModel, kind: string, env: Environment): Finding[] {
  if (!isCustom(kind)) return [];
  const at = [...model.path, "engine", kind];
  const parts = partsOf(model, kind);
  const findings: Finding[] = [];
  const report = (key: string, message: string, severity: Finding["severity"] = "error"): void => {
    findings.push({ severity, path: [...at, key], message });
  };
  const { url, sleep = null, wake = null, api_key_env: variable } = parts;
  if (typeof url === "string" && url !== "" && engineUrl(url) === null) {
    report("url", `expected ${engineUrlPhrase}, found ${JSON.stringify(url)}`);
  }
  if ((sleep === null) !== (wake === null)) {
    const [has, lacks] = sleep === null ? ["wake", "sleep"] : ["sleep", "wake"];
    report(has, `expected ${lacks} beside ${has}, found only ${has}`);
  }
  for (const key of ["start", "stop", "health", "sleep", "wake"]) {
    const value = parts[key];
    if (typeof value !== "string" || value === "") continue;
    const words = splitCommandLine(value);
    if (words === undefined) report(key, "expected a command with all of its quotes closed, found one that is open");
    else if (words.length === 0) report(key, "expected a command, found none");
  }
  if (kind === "command" && typeof url !== "string" && !JSON.stringify(parts["start"] ?? "").includes("${PORT}")) {
    const message =
      "expected ${PORT} in it, or a url that says where it listens, found neither: llmux looks for it on a port that it does not know of";
    report("start", message, "warning");
  }
  if (typeof variable === "string" && variable !== "" && (env[variable] ?? "") === "") {
    report("api_key_env", `expected the environment variable ${variable}, found that it is not set`);
  }
  if (kind === "external") findings.push(...externalFindings(model, sleep === null));
  return findings;
}

/** One that shares GPUs must be able to leave them. */
function externalFindings({ path, gpus, gpuMemory, extraArgs, port }: DraftModel, cannotSleep: boolean): Finding[] {
  const findings: Finding[] = [];
  if (gpus.length > 0 && cannotSleep) {
    const message =
      "expected nothing, or sleep and wake in its engine, found GPUs: llmux never stops an external engine, so it could make no room there";
    findings.push({ severity: "error", path: [...path, "gpus"], message });
  }
  if (gpuMemory !== undefined && gpus.length === 0) {
    const message = `expected gpus beside it, found none: without them nothing is counted for an external engine`;
    findings.push({ severity: "warning", path: [...path, "gpu_memory"], message });
  }
  if (extraArgs.length > 0) {
    const message = "expected nothing, for an external engine is not started, found arguments";
    findings.push({ severity: "error", path: [...path, "extra_args"], message });
  }
  if (port !== undefined) {
    const message = `expected nothing, for an external engine is reached by its url, found ${port}`;
    findings.push({ severity: "error", path: [...path, "port"], message });
  }
  return findings;
}
