/** Reads a configuration file into a `Config`, or says everything that is wrong with it at once. */

import { readFileSync, statSync } from "node:fs";
import { isMap, isScalar, isSeq, type Node } from "yaml";
import type { z } from "zod";
import type { Config } from "./config.ts";
import { isUnresolved, keyText, nodeAt, plainValue, problemAt, readDocument, type SourceDocument } from "./document.ts";
import { draftOf, mappingOf } from "./draft.ts";
import type { Finding } from "./finding.ts";
import { engineFindings } from "./engine-arguments.ts";
import { engineChoiceFindings } from "./engine-choice-findings.ts";
import { convertLoneVariable, type Environment, putInVariables } from "./environment.ts";
import { gpuFindings } from "./gpu-findings.ts";
import { exposureFindings } from "./exposure.ts";
import { keyFindings } from "./key-findings.ts";
import { problemsOf } from "./issues.ts";
import { type Adopted, adoptLlmux03 } from "./llmux-03.ts";
import { nameFindings } from "./names.ts";
import { policyFindings } from "./policy-findings.ts";
import { portFindings } from "./ports.ts";
import { planPlacement } from "./placement-plan.ts";
import { ConfigError, inFileOrder, type Problem } from "./problem.ts";
import { promiseFindings } from "./promise-findings.ts";
import { resolveConfig } from "./resolve.ts";
import { type ConfigFile, fileSchema } from "./schema.ts";
import { sleeperFindings } from "./sleeper-findings.ts";
import { visibleDevicesFindings } from "./visible-devices.ts";

export type { Config } from "./config.ts";
export { ConfigError, type Problem } from "./problem.ts";

/** Largest configuration file that is read. */
const fileBytesMax = 4 * 2 ** 20;

/** What takes the place of a file's own keys, such as what the command line says; checked together with the rest. */
export interface Overrides {
  readonly host?: string;
  readonly port?: number;
  /** The name of a policy, as it would be written in the file. */
  readonly policyType?: string;
}

/** Reads the configuration at `path`, with `${NAME}` taken from `env`. Throws `ConfigError` and nothing else. */
export function loadConfig(path: string, env: Environment, overrides: Overrides = {}): Config {
  return parseConfig(readText(path), path, env, overrides);
}

/** Makes a configuration from the text of a file; `fileName` is what messages call it. Throws `ConfigError` and nothing else. */
export function parseConfig(text: string, fileName: string, env: Environment, overrides: Overrides = {}): Config {
  const source = readDocument(text.replace(/^\uFEFF/, ""), fileName);
  const variableProblems = putInVariables(source, env);
  takeWordsAsWritten(source);

  const { adopted, result } = checkAgainstSchema(source, overrides);
  const config = result.success ? resolveConfig(result.data, env) : null;
  const draft = draftOf(adopted.value);
  const ownFindings = [
    ...adopted.findings,
    ...exposureFindings(draft),
    ...keyFindings(draft),
    ...portFindings(draft),
    ...gpuFindings(draft),
    ...policyFindings(draft),
    ...nameFindings(draft),
    ...engineFindings(draft),
    ...engineChoiceFindings(draft, env),
    ...visibleDevicesFindings(draft),
  ];
  const findings = [...ownFindings, ...(config === null ? [] : wholeFindings(config, ownFindings))];
  const problems = [
    ...variableProblems,
    ...problemsOf(result.error?.issues ?? [], source, adopted.value),
    ...problemsFrom(source, findings, "error"),
  ];
  if (config === null || problems.length > 0) throw new ConfigError(problems);
  return { ...config, warnings: inFileOrder(problemsFrom(source, findings, "warning")) };
}

/** Checks of what a file comes to as a whole. Where it does not say which GPUs there are, what fits on them is seen at the start. */
function wholeFindings(config: Config, known: readonly Finding[]): Finding[] {
  const knowsNoGpus = known.some(({ severity, path }) => severity === "error" && path[0] === "gpus");
  const gpus = knowsNoGpus ? null : config.gpus;
  const plan = planPlacement(config.models, gpus);
  return [...(gpus === null ? [] : plan.findings), ...promiseFindings(config, plan), ...sleeperFindings(config)];
}

interface Checked {
  readonly adopted: Adopted;
  readonly result: z.ZodSafeParseResult<ConfigFile>;
}

/** Checks the document; where something else than a text was wanted from a lone `${NAME}`, converts it and checks again. */
function checkAgainstSchema(source: SourceDocument, overrides: Overrides): Checked {
  const check = (): Checked => {
    const { value, findings } = adoptLlmux03(source.text, plainValue(source), overrides.host !== undefined);
    const adopted = { value: overridden(mappingOf(value) ?? {}, overrides), findings };
    return { adopted, result: fileSchema.safeParse(adopted.value) };
  };
  const first = check();
  const converted = (first.result.error?.issues ?? []).filter((issue) => convertLoneVariable(source, issue.path));
  return converted.length === 0 ? first : check();
}

function overridden(file: Readonly<Record<string, unknown>>, overrides: Overrides): unknown {
  const { policyType, ...rest } = overrides;
  if (policyType === undefined) return { ...file, ...rest };
  return { ...file, ...rest, policy: { ...mappingOf(file["policy"]), policy_type: policyType } };
}

/** `0.90` in a list of arguments is the argument `0.90` and not the number 0.9: numbers and booleans there are taken as written. */
function takeWordsAsWritten(source: SourceDocument): void {
  const models = nodeAt(source, ["models"]);
  for (const { key } of isMap(models) ? models.items : []) {
    const model = ["models", keyText(key)];
    const extraArgs = nodeAt(source, [...model, "extra_args"]);
    if (isSeq(extraArgs))
      extraArgs.items.forEach((_, index) => takeAsWritten(nodeAt(source, [...model, "extra_args", index])));
    const variables = nodeAt(source, [...model, "env"]);
    for (const pair of isMap(variables) ? variables.items : []) {
      takeAsWritten(nodeAt(source, [...model, "env", keyText(pair.key)]));
    }
  }
}

function takeAsWritten(node: Node | undefined): void {
  if (!isScalar(node) || node.source === undefined) return;
  if (typeof node.value === "number" || typeof node.value === "boolean") node.value = node.source;
}

function problemsFrom(source: SourceDocument, findings: readonly Finding[], severity: Finding["severity"]): Problem[] {
  return findings
    .filter((finding) => finding.severity === severity && !isUnresolved(source, finding.path))
    .map((finding) => problemAt(source, finding.path, finding.message, finding.onKey));
}

function readText(path: string): string {
  const refuse = (message: string): ConfigError => {
    return new ConfigError([{ file: path, line: 1, column: 1, path: "", message }]);
  };
  try {
    const stat = statSync(path);
    if (stat.isDirectory()) throw refuse("expected a configuration file, found a directory");
    if (stat.size > fileBytesMax) {
      throw refuse(`expected a configuration file of at most ${fileBytesMax} bytes, found ${stat.size}`);
    }
    return readFileSync(path, "utf8");
  } catch (error) {
    if (error instanceof ConfigError) throw error;
    const { code = "", message } = error as NodeJS.ErrnoException;
    if (code === "ENOENT") throw refuse("expected a configuration file, found no such file");
    if (code === "EACCES") throw refuse("expected a configuration file that may be read, found that access is denied");
    throw refuse(`expected a configuration file that can be read: ${message}`);
  }
}
