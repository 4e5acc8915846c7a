import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { parse } from "yaml";
import { loadConfig, parseConfig } from "./load.ts";
import { knownKeys } from "./schema.ts";

const root = join(import.meta.dirname, "../..");
const examplePath = join(root, "llmux.example.yaml");
const demoPath = join(root, "examples/demo.yaml");

describe("llmux.example.yaml", () => {
  const raw = parse(readFileSync(examplePath, "utf8")) as Record<string, Record<string, object>>;

  it("loads with no warning but that its defaults promise no bound", () => {
    const [warning, ...more] = loadConfig(examplePath, {}).warnings;
    assert.deepEqual([warning?.path, more], ["policy", []]);
  });

  it("has every key there is", () => {
    assert.deepEqual(Object.keys(raw).toSorted(), knownKeys.top.toSorted());
    assert.deepEqual(Object.keys(raw["policy"] ?? {}).toSorted(), knownKeys.policy.toSorted());
    assert.deepEqual(Object.keys(raw["limits"] ?? {}).toSorted(), knownKeys.limits.toSorted());
    // These stand in comments, for there is no key to show that would not be a key.
    const text = readFileSync(examplePath, "utf8");
    for (const key of knownKeys.api_key) assert.match(text, new RegExp(`^# {5}(?:- | {2})${key}: .* # `, "m"), key);
    for (const key of knownKeys.tls) assert.match(text, new RegExp(`^# .*\\b${key}: `, "m"), key);
    for (const key of knownKeys.engine) assert.match(text, new RegExp(`^ {4}# {5}${key}:$`, "m"), key);
    const inComments = (kind: string): readonly string[] => {
      const [, block = ""] = new RegExp(`^ {4}# {5}${kind}:\n((?: {4}# {7}.*\n)+)`, "m").exec(text) ?? [];
      return Array.from(block.matchAll(/# {7}(\w+): \S.*$/gm), ([, key = ""]) => key);
    };
    assert.deepEqual(inComments("command").toSorted(), knownKeys.engine_command.toSorted());
    assert.deepEqual(inComments("external").toSorted(), knownKeys.engine_external.toSorted());
    assert.deepEqual(Object.keys(raw["engine_timeouts"] ?? {}).toSorted(), knownKeys.engine_timeouts.toSorted());
    assert.deepEqual(Object.keys(raw["models"]?.["qwen-14b"] ?? {}).toSorted(), knownKeys.model.toSorted());
    const speed = parse(readFileSync(examplePath, "utf8")).models["qwen-14b"].simulate as object;
    assert.deepEqual(Object.keys(speed).toSorted(), knownKeys.simulate.toSorted());
  });

  it("shows the defaults of all but the models, as it says", () => {
    const { models: _, warnings: _shown, ...shown } = loadConfig(examplePath, {});
    const { models: __, warnings: _none, ...defaults } = parseConfig("models: {a: {model_path: x}}", "f", {});
    assert.deepEqual(shown, defaults);
  });
});

describe("docs/engines.md", () => {
  const text = readFileSync(join(root, "docs/engines.md"), "utf8");
  const examples = Array.from(text.matchAll(/```yaml\n([^]*?)```/g), ([, example = ""]) => example);

  it("has an example of each kind of engine, and each loads without a warning that is about its engine", () => {
    const kinds = examples.flatMap((example) => {
      const { models, warnings } = parseConfig(example, "docs/engines.md", { GPU_BOX_KEY: "k" });
      assert.deepEqual(
        warnings.filter(({ path }) => path !== "policy"),
        [],
      );
      return models.map(({ engine }) => engine.kind);
    });
    const all = ["vllm", "llama-server", "llama-server", "sglang", "command", "command", "external"];
    assert.deepEqual(kinds, all);
  });
});

describe("examples/demo.yaml", () => {
  const config = loadConfig(demoPath, {});

  it("loads without a warning and needs no GPU", () => {
    assert.deepEqual(config.warnings, []);
    assert.deepEqual([config.vllmCommand, config.nvidiaSmiCommand], [["mock-vllm"], ["mock-vllm", "nvidia-smi"]]);
  });

  it("has two models on one pretend GPU that holds one of them awake and the other asleep", () => {
    assert.equal(config.models.length, 2);
    assert.equal(new Set(config.models.map((model) => model.env["MOCK_VLLM_GPUS"])).size, 1);
    for (const { extraArgs } of config.models) {
      const share = Number(extraArgs[extraArgs.indexOf("--gpu-memory-utilization") + 1]);
      // A sleeping stand-in keeps 5 % of its GPU.
      assert.ok(share + 0.05 <= 1 && share * 2 > 1, String(share));
    }
  });

  it("promises a bound, and breaks no stream off for it", () => {
    assert.equal(config.policy.policyType, "bounded-wait");
    assert.ok(config.policy.drainBudgetMs !== null);
    assert.ok(config.models.every((model) => model.canSuspend));
  });

  it("keeps its state apart from that of a llmux that does real work", () => {
    assert.notEqual(config.stateDir, loadConfig(examplePath, {}).stateDir);
  });
});
