import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ConfigError, parseConfig } from "./load.ts";

/** A file with every key that llmux 0.3.0 had. */
const everything = {
  models: {
    one: { model_path: "org/one", port: 8001, extra_args: ["--gpu-memory-utilization", "0.9"], sleep_level: 2 },
    two: { model_path: "/models/two", port: 8002, sleep_level: 1 },
  },
  policy: {
    policy_type: "fifo",
    request_timeout_secs: 300,
    drain_before_switch: false,
    sleep_level: 1,
    min_active_secs: 10,
  },
  port: 4000,
  metrics_port: 0,
  vllm_command: "/opt/vllm/bin/vllm",
};

function parse(value: unknown) {
  return parseConfig(JSON.stringify(value, null, 2), "config.json", { HOME: "/home/ada" });
}

function warningsOf(value: unknown): readonly string[] {
  return parse(value)
    .warnings.filter((warning) => warning.path !== "models")
    .map((warning) => `${warning.line}:${warning.column} ${warning.path}`);
}

describe("a file of llmux 0.3.0", () => {
  it("means the same in every key it has", () => {
    const config = parse(everything);
    assert.deepEqual(config.policy, {
      policyType: "fifo",
      requestTimeoutMs: 300_000,
      drainBeforeSwitch: false,
      drainTimeoutMs: null,
      drainBudgetMs: null,
      queueMax: 2000,
      queueTotalMax: 10_000,
      idleSleepMs: null,
      idleStopMs: null,
      minActiveMs: 10_000,
      sleepLevel: 1,
    });
    assert.deepEqual([config.port, config.metricsPort, config.vllmCommand], [4000, 0, ["/opt/vllm/bin/vllm"]]);
    assert.deepEqual(
      config.models.map(({ name, modelPath, port, extraArgs, sleepLevel }) => [
        name,
        modelPath,
        port,
        extraArgs,
        sleepLevel,
      ]),
      [
        ["one", "org/one", 8001, ["--gpu-memory-utilization", "0.9"], 2],
        ["two", "/models/two", 8002, [], 1],
      ],
    );
  });

  it("has the defaults that it was documented to have, but for the policy", () => {
    const config = parse({ models: { a: { model_path: "x", port: 8001 } } });
    assert.deepEqual([config.port, config.metricsPort, config.vllmCommand], [3000, 9090, ["vllm"]]);
    assert.deepEqual(
      [config.policy.requestTimeoutMs, config.policy.drainBeforeSwitch, config.policy],
      [60_000, true, { ...config.policy, policyType: "bounded-wait" }],
    );
  });

  it("gets the policy of today where it names none, and is told so where it set a time that only fifo has", () => {
    const file = { models: { a: { model_path: "x", port: 8001, sleep_level: 1 } }, policy: { min_active_secs: 10 } };
    assert.equal(parse(file).policy.policyType, "bounded-wait");
    assert.deepEqual(warningsOf(file), ["10:5 policy.min_active_secs"]);
    assert.deepEqual(warningsOf({ ...file, policy: { ...file.policy, policy_type: "fifo" } }), []);
  });

  it("stops a model that names no sleep level, whatever the policy says, and warns of it", () => {
    const file = { models: { a: { model_path: "x", port: 8001 } }, policy: { sleep_level: 1 } };
    assert.equal(parse(file).models[0]?.sleepLevel, 3);
    assert.deepEqual(warningsOf(file), ["3:5 models.a"]);
  });

  it("may have the keys that 0.3.0 ignored, with a warning for each", () => {
    const model = { model_path: "x", port: 8001, gpu_memory_utilization: 0.9, tensor_parallel_size: 1, dtype: "auto" };
    const file = { models: { a: { ...model, sleep_level: 1 } } };
    assert.deepEqual(parse(file).models[0]?.extraArgs, []);
    assert.deepEqual(warningsOf(file), [
      "6:7 models.a.gpu_memory_utilization",
      "7:7 models.a.tensor_parallel_size",
      "8:7 models.a.dtype",
    ]);
  });

  it("may name the policy batching, which 0.3.0 ran as fifo", () => {
    const file = { ...everything, policy: { policy_type: "batching" } };
    assert.equal(parse(file).policy.policyType, "fifo");
    assert.equal(warningsOf(file).at(-1)?.split(" ")[1], "policy.policy_type");
  });

  for (const [what, extraArgs] of [
    ["in two arguments", ["--host", "0.0.0.0", "--seed", "1"]],
    ["in one argument", ["--host=0.0.0.0", "--seed", "1"]],
  ] as const) {
    it(`may say where engines listen ${what}, which is left out`, () => {
      const file = { models: { a: { model_path: "x", port: 8001, sleep_level: 1, extra_args: extraArgs } } };
      assert.deepEqual(parse(file).models[0]?.extraArgs, ["--seed", "1"]);
      assert.deepEqual(warningsOf(file), ["8:9 models.a.extra_args[0]"]);
    });
  }

  it("warns that it now listens on loopback only", () => {
    const config = parse(everything);
    assert.equal(config.host, "127.0.0.1");
    assert.match(config.warnings[0]?.message ?? "", /0\.3\.0 listened on all addresses/);
    assert.deepEqual(parseConfig(JSON.stringify(everything), "f", {}, { host: "127.0.0.1" }).warnings, []);
  });

  it("is told its mistakes like any other", () => {
    assert.throws(() => parse({ ...everything, port: 70_000 }), ConfigError);
    assert.throws(() => parse({ models: {} }), ConfigError);
    assert.throws(() => parse({ ...everything, policy: { sleep_level: 4 } }), ConfigError);
  });
});

describe("a file that is not one of llmux 0.3.0", () => {
  for (const [what, text] of [
    ["YAML", "models: {a: {model_path: x, port: 8001}}\npolicy: {sleep_level: 2}"],
    [
      "JSON with a newer key",
      '{"host": "127.0.0.1", "models": {"a": {"model_path": "x", "port": 8001}}, "policy": {"sleep_level": 2}}',
    ],
    ["JSON with a model that needs no port", '{"models": {"a": {"model_path": "x"}}, "policy": {"sleep_level": 2}}'],
  ] as const) {
    it(`takes the policy's sleep level where it is ${what}`, () => {
      const config = parseConfig(text, "f", {});
      assert.equal(config.models[0]?.sleepLevel, 2);
      assert.deepEqual(config.warnings, []);
    });
  }

  it("may not have the keys that 0.3.0 ignored, nor its other name of fifo", () => {
    assert.throws(
      () => parseConfig("models: {a: {model_path: x, dtype: auto}}", "f", {}),
      /models\.a\.dtype: unknown key/,
    );
    assert.throws(
      () => parseConfig("policy: {policy_type: batching}\nmodels: {a: {model_path: x}}", "f", {}),
      /policy_type: expected a policy: bounded-wait or fifo/,
    );
  });
});
